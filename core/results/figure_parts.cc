#include "core/results/figure_parts.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace radiograph::figure_parts {
namespace {

constexpr char kGrid[] = "rgba(128,128,128,0.2)";
constexpr char kZeroLine[] = "rgba(128,128,128,0.7)";

// Blue for negative, white at zero, red for positive: ColorBrewer's RdBu.
Json DivergingScale() {
  return {
      {0.0, "#2166ac"}, {0.25, "#92c5de"}, {0.5, "#f7f7f7"}, {0.75, "#f4a582"}, {1.0, "#b2182b"}};
}

Json SequentialScale() {
  return {{0.0, "#f7fbff"}, {0.33, "#9ecae1"}, {0.67, "#4292c6"}, {1.0, "#08306b"}};
}

}  // namespace

// Plotly reads pseudo-HTML in every text and decodes these entities.
std::string Label(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

std::string Name(absl::string_view text) {
  size_t end = 0;
  for (int characters = 0; end < text.size(); ++end) {
    bool starts_character = (text[end] & 0xC0) != 0x80;
    if (starts_character && ++characters > kNameMax) break;
  }
  return absl::StrCat(Label(text.substr(0, end)), end < text.size() ? "\u2026" : "");
}

Json Number(double value) {
  if (!std::isfinite(value)) return nullptr;
  double rounded = 0;
  // Always parses: it was just printed. Locale-free both ways.
  if (!absl::SimpleAtod(absl::StrFormat("%.6g", value), &rounded)) return nullptr;
  return rounded;
}

Json Numbers(absl::Span<const double> values) {
  Json numbers = Json::array();
  for (double value : values) numbers.push_back(Number(value));
  return numbers;
}

double LargestMagnitude(absl::Span<const double> values) {
  double largest = 0;
  for (double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest;
}

Json Axis(const FigureAxis& axis) {
  std::string title = Label(axis.title);
  if (!axis.unit.empty()) absl::StrAppend(&title, " (", Label(axis.unit), ")");
  Json json = {{"title", {{"text", title}, {"standoff", 12}}},
               {"automargin", true},
               {"gridcolor", kGrid},
               {"zerolinecolor", kZeroLine},
               {"zerolinewidth", 1}};
  if (axis.logarithmic) json["type"] = "log";
  return json;
}

Json Layout(const FigureText& text, int height) {
  return {
      {"title", {{"text", Label(text.title)}, {"font", {{"size", 15}}}}},
      {"font", {{"family", "system-ui, sans-serif"}, {"size", 13}, {"color", "#444"}}},
      {"height", height},
      {"margin", {{"l", 56}, {"r", 16}, {"t", 48}, {"b", 48}}},
      {"paper_bgcolor", "rgba(0,0,0,0)"},
      {"plot_bgcolor", "rgba(0,0,0,0)"},
      {"hovermode", "closest"},
      {"modebar", {{"bgcolor", "rgba(0,0,0,0)"}, {"color", "#999"}, {"activecolor", "#1f5fa8"}}},
      // Tableau's ten, in the order in which neighbours differ most.
      {"colorway",
       {"#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#edc948", "#76b7b2", "#9c755f",
        "#ff9da7", "#bab0ac"}}};
}

void SetColours(const HeatMapOptions& options, double largest, Json* trace) {
  double limit = options.limit.value_or(largest);
  if (!(limit > 0)) limit = 1;
  Json bar = {{"thickness", 12}, {"outlinewidth", 0}, {"lenmode", "pixels"}, {"len", 190},
              {"y", 1},          {"yanchor", "top"}};
  if (!options.unit.empty()) bar["title"] = {{"text", Label(options.unit)}, {"side", "right"}};
  (*trace)["colorscale"] = options.diverging ? DivergingScale() : SequentialScale();
  (*trace)["zmin"] = Number(options.diverging ? -limit : 0);
  (*trace)["zmax"] = Number(limit);
  (*trace)["colorbar"] = bar;
}

Figure Finish(const FigureText& text, const Json& data, const Json& layout) {
  Figure figure{text.name, text.title, text.caption, ""};
  // Fails for labels that are not UTF-8 only; the header says what happens then.
  absl::StatusOr<std::string> json = CanonicalJson({{"data", data}, {"layout", layout}});
  if (json.ok()) figure.plotly = *std::move(json);
  return figure;
}

}  // namespace radiograph::figure_parts
