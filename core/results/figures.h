// Plotly figures with one look for all analyses. Each builder takes plain numbers and gives a
// Figure whose JSON is canonical, so that the same numbers give the same bytes.
//
// Numbers are rounded to 6 significant digits: a figure is for the eye, the arrays hold every
// digit. NaN and infinities become gaps (null). Labels are text: they are escaped here, Plotly
// reads no markup in them. A label that is not UTF-8 leaves Figure::plotly empty, which WriteBundle
// refuses.
//
//   Figure figure = Lines({"eigenvalues", "Eigenvalues", "Each line is ..."},
//                         {{.name = "zero", .y = {3.1, 0.2, -1.4}}, ...},
//                         {.title = "rank"}, {.title = "eigenvalue", .unit = "logit"});
#ifndef RADIOGRAPH_CORE_RESULTS_FIGURES_H_
#define RADIOGRAPH_CORE_RESULTS_FIGURES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/results/result.h"

namespace radiograph {

struct FigureText {
  std::string name;     // [a-z0-9_]+, its file name without .json
  std::string title;    // what is shown
  std::string caption;  // how to read it
};

struct FigureAxis {
  std::string title;
  std::string unit = {};  // shown in parentheses after the title
  bool logarithmic = false;
};

struct Series {
  std::string name = {};
  std::vector<double> x = {};  // empty: 1, 2, 3, ...
  std::vector<double> y = {};
  std::vector<double> low = {}, high = {};  // of Bars: the ends of an interval around each y
  bool dashed = false;                      // of Lines: a threshold or a reference
};

// One coloured line with markers for each series.
Figure Lines(const FigureText& text, const std::vector<Series>& series, const FigureAxis& x,
             const FigureAxis& y);

// Bars side by side, one group for each label; Series::y has one value for each label.
Figure Bars(const FigureText& text, const std::vector<std::string>& labels,
            const std::vector<Series>& series, const FigureAxis& x, const FigureAxis& y);

struct HeatMapOptions {
  std::string unit = {};
  bool diverging = true;  // blue - white - red around 0; else white to dark
  std::optional<double> limit =
      {};  // colours end at +-limit (0 to limit); default: the largest |value|
};
// values[row][column]; row 0 on top. Missing labels are numbers from 0.
Figure HeatMap(const FigureText& text, const std::vector<std::vector<double>>& values,
               const std::vector<std::string>& row_labels,
               const std::vector<std::string>& column_labels, const FigureAxis& x,
               const FigureAxis& y, const HeatMapOptions& options = {});

struct Picture {
  std::string title = {};           // above it: "+0.62"
  std::vector<double> values = {};  // height * width, row-major, row 0 on top; empty: a blank place
};
struct PictureRow {
  std::string label = {};
  std::vector<Picture> pictures = {};
};
struct PictureGrid {
  int64_t height = 0, width = 0;
  std::vector<std::string> columns = {};  // above the first row
  std::vector<PictureRow> rows = {};
  std::optional<double> limit = {};  // as of HeatMapOptions; one for all pictures
};
// Small multiples: pictures in rows and columns, all with the same diverging colours and limits.
Figure Pictures(const FigureText& text, const PictureGrid& grid);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_RESULTS_FIGURES_H_
