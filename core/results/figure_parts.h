// What the builders of figures.h share: the look, and numbers and labels as Plotly wants them.
#ifndef RADIOGRAPH_CORE_RESULTS_FIGURE_PARTS_H_
#define RADIOGRAPH_CORE_RESULTS_FIGURE_PARTS_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/json.h"
#include "core/results/figures.h"

namespace radiograph::figure_parts {

// Plotly reads pseudo-HTML in every text; this makes it text again.
std::string Label(absl::string_view text);
// The same, cut to kNameMax characters: a name must not push the drawing aside.
inline constexpr int kNameMax = 24;
std::string Name(absl::string_view text);

// Rounded to 6 significant digits; null when not finite.
Json Number(double value);
Json Numbers(absl::Span<const double> values);

// Of the finite values; 0 when there are none.
double LargestMagnitude(absl::Span<const double> values);

Json Axis(const FigureAxis& axis);
Json Layout(const FigureText& text, int height);
// Colours of a heat map's trace; `largest` is the limit when the options name none.
void SetColours(const HeatMapOptions& options, double largest, Json* trace);

Figure Finish(const FigureText& text, const Json& data, const Json& layout);

}  // namespace radiograph::figure_parts

#endif  // RADIOGRAPH_CORE_RESULTS_FIGURE_PARTS_H_
