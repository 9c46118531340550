#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/results/figure_parts.h"
#include "core/results/figures.h"

namespace radiograph {
namespace {

using figure_parts::Finish;
using figure_parts::LargestMagnitude;
using figure_parts::Layout;
using figure_parts::Name;
using figure_parts::Number;
using figure_parts::SetColours;

// All pictures of a grid stand in one heat map, with gaps between them: a hundred subplots would
// take seconds to draw.
struct Mosaic {
  explicit Mosaic(const PictureGrid& grid)
      : height(grid.height),
        width(grid.width),
        gap_above(std::max<int64_t>(1, std::llround(0.24 * grid.height))),
        gap_right(std::max<int64_t>(1, std::llround(0.1 * grid.width))),
        rows(static_cast<int64_t>(grid.rows.size())),
        columns(static_cast<int64_t>(grid.columns.size())) {
    for (const PictureRow& row : grid.rows) {
      columns = std::max(columns, static_cast<int64_t>(row.pictures.size()));
    }
  }
  int64_t top(int64_t row) const { return row * (height + gap_above) + gap_above; }
  int64_t left(int64_t column) const { return column * (width + gap_right); }
  int64_t total_height() const { return rows * (height + gap_above); }
  int64_t total_width() const { return columns * (width + gap_right) - gap_right; }

  int64_t height, width, gap_above, gap_right, rows, columns;
};

// The heat map with every picture in its place; `frames` receives their outlines as an SVG path.
Json MosaicTrace(const PictureGrid& grid, const Mosaic& mosaic, std::string* frames) {
  double largest = 0;
  Json cells(mosaic.total_height(), Json(mosaic.total_width(), nullptr));
  for (int64_t r = 0; r < mosaic.rows; ++r) {
    const std::vector<Picture>& pictures = grid.rows[r].pictures;
    for (int64_t c = 0; c < static_cast<int64_t>(pictures.size()); ++c) {
      const std::vector<double>& values = pictures[c].values;
      if (static_cast<int64_t>(values.size()) != mosaic.height * mosaic.width) continue;
      largest = std::max(largest, LargestMagnitude(values));
      int64_t top = mosaic.top(r), left = mosaic.left(c);
      for (int64_t i = 0; i < mosaic.height * mosaic.width; ++i) {
        cells[top + i / mosaic.width][left + i % mosaic.width] = Number(values[i]);
      }
      absl::StrAppend(frames, "M", left - 0.5, ",", top - 0.5, "H", left + mosaic.width - 0.5, "V",
                      top + mosaic.height - 0.5, "H", left - 0.5, "Z");
    }
  }
  Json trace = {{"type", "heatmap"}, {"z", cells}, {"hovertemplate", "%{z:.4g}<extra></extra>"}};
  SetColours({.limit = grid.limit}, largest, &trace);
  return trace;
}

Json MosaicTitles(const PictureGrid& grid, const Mosaic& mosaic) {
  Json x = Json::array(), y = Json::array(), titles = Json::array();
  for (int64_t r = 0; r < mosaic.rows; ++r) {
    const std::vector<Picture>& pictures = grid.rows[r].pictures;
    for (int64_t c = 0; c < static_cast<int64_t>(pictures.size()); ++c) {
      if (pictures[c].title.empty()) continue;
      x.push_back(mosaic.left(c) + 0.5 * (mosaic.width - 1));
      y.push_back(mosaic.top(r) - 0.5);
      titles.push_back(Name(pictures[c].title));
    }
  }
  return {{"type", "scatter"},
          {"mode", "text"},
          {"x", x},
          {"y", y},
          {"text", titles},
          {"textposition", "top center"},
          {"textfont", {{"size", 11}}},
          {"hoverinfo", "skip"},
          {"showlegend", false}};
}

Json MosaicAxis(int64_t count, double first, double step, const std::vector<std::string>& labels) {
  Json places = Json::array(), texts = Json::array();
  for (int64_t i = 0; i < std::min(count, static_cast<int64_t>(labels.size())); ++i) {
    places.push_back(first + step * i);
    texts.push_back(Name(labels[i]));
  }
  return {{"tickmode", "array"}, {"tickvals", places},   {"ticktext", texts},
          {"ticks", ""},         {"showgrid", false},    {"zeroline", false},
          {"automargin", true},  {"constrain", "domain"}};
}

}  // namespace

Figure Pictures(const FigureText& text, const PictureGrid& grid) {
  Mosaic mosaic(grid);
  if (mosaic.rows == 0 || mosaic.columns == 0)
    return Finish(text, Json::array(), Layout(text, 100));
  std::string frames;
  Json data = Json::array({MosaicTrace(grid, mosaic, &frames), MosaicTitles(grid, mosaic)});
  std::vector<std::string> labels;
  for (const PictureRow& row : grid.rows) labels.push_back(row.label);
  double aspect = static_cast<double>(mosaic.total_height()) / mosaic.total_width();
  int64_t width = std::min<int64_t>(800, 110 * mosaic.columns);  // of the drawing, in CSS pixels
  Json layout = Layout(text, 70 + static_cast<int>(std::lround(aspect * width)));
  layout["margin"]["b"] = 8;
  layout["xaxis"] = MosaicAxis(mosaic.columns, 0.5 * (mosaic.width - 1),
                               mosaic.width + mosaic.gap_right, grid.columns);
  layout["xaxis"]["side"] = "top";
  layout["xaxis"]["range"] = {-1, mosaic.total_width()};
  layout["yaxis"] = MosaicAxis(mosaic.rows, mosaic.top(0) + 0.5 * (mosaic.height - 1),
                               mosaic.height + mosaic.gap_above, labels);
  layout["yaxis"]["range"] = {mosaic.total_height(), -1};
  layout["yaxis"]["scaleanchor"] = "x";
  layout["yaxis"]["constraintoward"] = "top";
  layout["shapes"] =
      Json::array({{{"type", "path"},
                    {"path", frames},
                    {"line", {{"width", 0.75}, {"color", "rgba(128,128,128,0.8)"}}}}});
  return Finish(text, data, layout);
}

}  // namespace radiograph
