#include "core/results/figures.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/results/figure_parts.h"

namespace radiograph {
namespace {

using figure_parts::Finish;
using figure_parts::LargestMagnitude;
using figure_parts::Layout;
using figure_parts::Name;
using figure_parts::Number;
using figure_parts::Numbers;
using figure_parts::SetColours;

// A category names a place on its axis: two equal ones would share it.
Json Categories(const std::vector<std::string>& labels, size_t count) {
  std::set<std::string> taken;
  Json categories = Json::array();
  for (size_t i = 0; i < count; ++i) {
    std::string label = i < labels.size() ? Name(labels[i]) : absl::StrCat(i);
    std::string unique = label;
    for (int n = 2; !taken.insert(unique).second; ++n) unique = absl::StrCat(label, " (", n, ")");
    categories.push_back(unique);
  }
  return categories;
}

Json CategoryAxis(const FigureAxis& axis) {
  Json json = figure_parts::Axis(axis);
  json["type"] = "category";
  json["showgrid"] = false;
  return json;
}

Json ErrorBars(const Series& one) {
  std::vector<double> above, below;
  for (size_t i = 0; i < one.y.size(); ++i) {
    above.push_back(i < one.high.size() ? one.high[i] - one.y[i] : NAN);
    below.push_back(i < one.low.size() ? one.y[i] - one.low[i] : NAN);
  }
  return {{"type", "data"},          {"symmetric", false},
          {"array", Numbers(above)}, {"arrayminus", Numbers(below)},
          {"thickness", 1},          {"color", "rgba(128,128,128,0.9)"}};
}

}  // namespace

Figure Lines(const FigureText& text, const std::vector<Series>& series, const FigureAxis& x,
             const FigureAxis& y) {
  Json data = Json::array();
  for (const Series& one : series) {
    Json trace = {{"type", "scatter"},
                  {"name", Name(one.name)},
                  {"y", Numbers(one.y)},
                  {"mode", one.dashed ? "lines" : "lines+markers"},
                  {"line", {{"width", 1.5}, {"dash", one.dashed ? "dash" : "solid"}}},
                  {"marker", {{"size", 4}}},
                  {"hovertemplate", "%{x}: %{y:.4g}<extra>%{fullData.name}</extra>"}};
    if (one.x.empty()) {
      trace["x0"] = 1;
    } else {
      trace["x"] = Numbers(one.x);
    }
    data.push_back(trace);
  }
  Json layout = Layout(text, 420);
  layout["xaxis"] = figure_parts::Axis(x);
  layout["xaxis"]["zeroline"] = false;
  layout["yaxis"] = figure_parts::Axis(y);
  layout["showlegend"] = series.size() > 1;
  return Finish(text, data, layout);
}

Figure Bars(const FigureText& text, const std::vector<std::string>& labels,
            const std::vector<Series>& series, const FigureAxis& x, const FigureAxis& y) {
  Json data = Json::array();
  Json categories = Categories(labels, labels.size());
  for (const Series& one : series) {
    Json trace = {{"type", "bar"},
                  {"name", Name(one.name)},
                  {"x", categories},
                  {"y", Numbers(one.y)},
                  {"hovertemplate", "%{x}: %{y:.4g}<extra>%{fullData.name}</extra>"}};
    if (!one.low.empty() || !one.high.empty()) trace["error_y"] = ErrorBars(one);
    data.push_back(trace);
  }
  Json layout = Layout(text, 340);
  layout["xaxis"] = CategoryAxis(x);
  layout["yaxis"] = figure_parts::Axis(y);
  layout["barmode"] = "group";
  layout["bargap"] = 0.25;
  layout["showlegend"] = series.size() > 1;
  return Finish(text, data, layout);
}

Figure HeatMap(const FigureText& text, const std::vector<std::vector<double>>& values,
               const std::vector<std::string>& row_labels,
               const std::vector<std::string>& column_labels, const FigureAxis& x,
               const FigureAxis& y, const HeatMapOptions& options) {
  size_t columns = 0;
  double largest = 0;
  Json rows = Json::array();
  for (const std::vector<double>& row : values) {
    columns = std::max(columns, row.size());
    largest = std::max(largest, LargestMagnitude(row));
    rows.push_back(Numbers(row));
  }
  Json trace = {{"type", "heatmap"},
                {"z", rows},
                {"x", Categories(column_labels, columns)},
                {"y", Categories(row_labels, values.size())},
                {"hovertemplate", "%{y}, %{x}: %{z:.4g}<extra></extra>"}};
  SetColours(options, largest, &trace);
  int64_t rows_height = 26 * static_cast<int64_t>(values.size());
  Json layout = Layout(text, 120 + static_cast<int>(std::clamp<int64_t>(rows_height, 160, 640)));
  layout["xaxis"] = CategoryAxis(x);
  layout["yaxis"] = CategoryAxis(y);
  layout["yaxis"]["autorange"] = "reversed";
  return Finish(text, Json::array({trace}), layout);
}

}  // namespace radiograph
