// The files that a report carries inside, embedded when this library is assembled.
#ifndef RADIOGRAPH_CORE_RESULTS_REPORT_ASSETS_H_
#define RADIOGRAPH_CORE_RESULTS_REPORT_ASSETS_H_

#include "absl/strings/string_view.h"

namespace radiograph {

absl::string_view PlotlyScript();  // Plotly's cartesian bundle
absl::string_view ReportScript();  // report.js
absl::string_view ReportStyle();   // report.css

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_RESULTS_REPORT_ASSETS_H_
