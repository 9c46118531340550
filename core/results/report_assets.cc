#include "core/results/report_assets.h"

#ifndef RADIOGRAPH_PLOTLY
#error \
    "the CMake variable RADIOGRAPH_PLOTLY must name plotly-cartesian.min.js: deploy/set-up fetches it"
#endif

// .incbin copies a file as it is: as an array in C++ it would take a minute to compile.
#define RADIOGRAPH_EMBED(name, path)                 \
  __asm__(                                           \
      ".pushsection .rodata\n"                       \
      "radiograph_" #name "_begin:\n.incbin \"" path \
      "\"\n"                                         \
      "radiograph_" #name                            \
      "_end:\n.byte 0\n"                             \
      ".popsection\n");                              \
  extern "C" const char radiograph_##name##_begin[], radiograph_##name##_end[]

RADIOGRAPH_EMBED(plotly, RADIOGRAPH_PLOTLY);
RADIOGRAPH_EMBED(report_js, RADIOGRAPH_REPORT_JS);
RADIOGRAPH_EMBED(report_css, RADIOGRAPH_REPORT_CSS);

namespace radiograph {
namespace {

absl::string_view Between(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace

absl::string_view PlotlyScript() { return Between(radiograph_plotly_begin, radiograph_plotly_end); }
absl::string_view ReportScript() {
  return Between(radiograph_report_js_begin, radiograph_report_js_end);
}
absl::string_view ReportStyle() {
  return Between(radiograph_report_css_begin, radiograph_report_css_end);
}

}  // namespace radiograph
