// The parts of a report as HTML. `result` is result.json, `run` is run.json; what they lack is left
// out.
#ifndef RADIOGRAPH_CORE_RESULTS_REPORT_SECTIONS_H_
#define RADIOGRAPH_CORE_RESULTS_REPORT_SECTIONS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/json.h"

namespace radiograph::report {

// Rows of a table that a report shows; the rest stands in result.json.
inline constexpr int64_t kRowsMax = 200;
// Metrics shown large at the top: the first that are defined, since a Spec names the important ones
// first.
inline constexpr int64_t kCardsMax = 4;

// Title, verdicts, main numbers, and which findings are warnings or alarms.
std::string Summary(const Json& result);
// figures[i] is the Plotly JSON of result.figures[i].
std::string Figures(const Json& result, const std::vector<std::string>& figures);
std::string Findings(const Json& result);
// Every metric with unit, exactness and interval; the tables; what arrays there are.
std::string Numbers(const Json& result);
std::string Provenance(const Json& result, const Json& run, absl::string_view result_digest);

// What the parts share: "effective_rank_mean" -> "Effective rank mean", and a metric's "2.1 to 3.2
// (90%)".
std::string Spoken(absl::string_view name);
std::string Interval(const Json& metric);

}  // namespace radiograph::report

#endif  // RADIOGRAPH_CORE_RESULTS_REPORT_SECTIONS_H_
