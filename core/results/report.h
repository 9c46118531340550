// The report of a result: one HTML file, no network, Plotly inlined. Every text from outside is
// escaped.
#ifndef RADIOGRAPH_CORE_RESULTS_REPORT_H_
#define RADIOGRAPH_CORE_RESULTS_REPORT_H_

#include <string>

#include "absl/status/statusor.h"

namespace radiograph {

// `folder` holds a bundle. A pure function of its files: verdicts and main numbers first, figures
// with their captions, findings with their evidence, parameters and provenance last. NOT_FOUND when
// a file is missing.
absl::StatusOr<std::string> RenderReport(const std::string& folder);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_RESULTS_REPORT_H_
