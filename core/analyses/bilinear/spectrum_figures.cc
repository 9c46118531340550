// Figures of bilinear.spectrum.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/analyses/bilinear/spectrum_facts.h"
#include "core/results/figures.h"

namespace radiograph::bilinear {
namespace {

constexpr int64_t kLinesMax = 12;    // outputs that one figure of lines or pictures shows
constexpr int64_t kBarsMax = 64;     // outputs that one figure of bars shows
constexpr int64_t kRanksShown = 20;  // eigenvalues of each sign
constexpr int64_t kPicturesPerSign = 4;
constexpr int64_t kHeatMapInputsMax = 256;

class Figures {
 public:
  explicit Figures(const SpectrumFacts& facts) : facts_(facts), few_(facts.Foremost(kLinesMax)) {}

  std::vector<Figure> Take() {
    if (facts_.has_pictures()) {
      list_.push_back(Eigenvectors());
    } else if (facts_.shapes.inputs <= kHeatMapInputsMax) {
      list_.push_back(StrongestVectors());
    }
    list_.push_back(Spectrum());
    list_.push_back(EffectiveRank());
    list_.push_back(SpectralMass());
    if (facts_.null_threshold.defined()) list_.push_back(Significance());
    return std::move(list_);
  }

 private:
  // "" or what a caption must say when not all eigenvalues are known.
  std::string Known() const {
    if (!facts_.sizes.top_only()) return "";
    return absl::StrCat(" Only the ", facts_.sizes.values,
                        " eigenvalues of largest size were computed (solver topk).");
  }

  // "" or what a caption must say when not all outputs are shown.
  std::string Shown(const std::vector<int64_t>& outputs) const {
    if (static_cast<int64_t>(outputs.size()) == facts_.sizes.outputs) return "";
    return absl::StrCat(" Of ", facts_.sizes.outputs, " outputs the ", outputs.size(),
                        " with the largest eigenvalues are shown.");
  }

  std::vector<std::string> Names(const std::vector<int64_t>& outputs) const {
    std::vector<std::string> names;
    for (const int64_t c : outputs) names.push_back(facts_.names[c]);
    return names;
  }

  // The eigenvalues of one sign, the largest first, and then a gap.
  static void AddBranch(std::vector<double> values, double sign, Series& line) {
    std::erase_if(values, [&](double value) { return value * sign <= 0; });
    std::sort(values.begin(), values.end(),
              [&](double a, double b) { return a * sign > b * sign; });
    values.resize(std::min<size_t>(values.size(), kRanksShown));
    values.push_back(std::nan(""));
    for (size_t i = 0; i < values.size(); ++i) line.x.push_back(i + 1);
    line.y.insert(line.y.end(), values.begin(), values.end());
  }

  Figure Spectrum() const {
    std::vector<Series> series;
    for (const int64_t c : few_) {
      series.push_back({.name = facts_.names[c]});
      for (const double sign : {1.0, -1.0}) {
        AddBranch(ToDoubles(facts_.spectra.eigenvalues[c]), sign, series.back());
      }
    }
    return Lines(
        {"spectrum", "Eigenvalues of each output",
         absl::StrCat(
             "Above zero the ", kRanksShown, " most positive eigenvalues, below it the ",
             kRanksShown,
             " most negative, the strongest on the left. A direction with a positive eigenvalue "
             "raises the output, one with a negative eigenvalue lowers it. A steep fall means that "
             "few directions decide.",
             Known(), Shown(few_))},
        series, {.title = "rank among those of one sign"},
        {.title = "eigenvalue", .unit = "logit"});
  }

  // "+1.19 (0.62)": the eigenvalue, and the cosine with the mean of the class where there is one.
  std::string TitleOf(int64_t output, int64_t rank, double value) const {
    std::string title = absl::StrFormat("%+.3g", value);
    if (!facts_.class_cosines.defined()) return title;
    const double cosine = facts_.class_cosines[output][rank].item<double>();
    if (!std::isnan(cosine)) absl::StrAppendFormat(&title, " (%.2f)", cosine);
    return title;
  }

  // The first of the kept vectors of one sign, the strongest first; blanks when there are fewer.
  void AddPictures(int64_t output, bool positive, PictureRow& row) const {
    const auto values =
        ToDoubles(facts_.spectra.eigenvalues[output].narrow(0, 0, facts_.sizes.kept));
    int64_t added = 0;
    for (size_t j = 0; j < values.size() && added < kPicturesPerSign; ++j) {
      if (values[j] == 0 || (values[j] > 0) != positive) continue;
      row.pictures.push_back({.title = TitleOf(output, j, values[j]),
                              .values = facts_.PictureOf(facts_.spectra.eigenvectors[output][j])});
      ++added;
    }
    for (; added < kPicturesPerSign; ++added) row.pictures.emplace_back();
  }

  Figure Eigenvectors() const {
    PictureGrid grid{.height = facts_.height(), .width = facts_.width()};
    for (const char* sign : {"positive", "negative"}) {
      for (int64_t i = 0; i < kPicturesPerSign; ++i)
        grid.columns.push_back(absl::StrCat(sign, " ", i + 1));
    }
    for (const int64_t c : few_) {
      PictureRow row{.label = facts_.names[c]};
      AddPictures(c, true, row);
      AddPictures(c, false, row);
      // The strongest vectors set the colours: weak ones are mostly noise, with larger single
      // entries.
      for (const int64_t strongest : {int64_t{0}, kPicturesPerSign}) {
        for (const double value : row.pictures[strongest].values) {
          grid.limit = std::max(grid.limit.value_or(0), std::abs(value));
        }
      }
      grid.rows.push_back(std::move(row));
    }
    const bool channels = facts_.params.image_shape.size() == 3;
    return Pictures({"eigenvectors", "What each output looks for",
                     absl::StrCat("One row an output, its eigenvalue above each picture. An input "
                                  "that looks like a picture on "
                                  "the left, or like its negative, raises the output; one that "
                                  "looks like a picture on the right "
                                  "lowers it. The sign of a picture as a whole means nothing: the "
                                  "overlap is squared. Colours end at the largest entry of the "
                                  "first positive and negative pictures. A blank place: no more of "
                                  "that sign among the ",
                                  facts_.sizes.kept, " kept.",
                                  facts_.class_cosines.defined()
                                      ? " In parentheses: how alike the picture and the mean "
                                        "sample of that class are, 0 to 1."
                                      : "",
                                  channels ? " Channels are averaged." : "", Shown(few_))},
                    grid);
  }

  Figure StrongestVectors() const {
    std::vector<std::vector<double>> rows;
    std::vector<std::string> labels;
    for (const int64_t c : few_) {
      rows.push_back(ToDoubles(facts_.spectra.eigenvectors[c][0]));
      labels.push_back(absl::StrCat(facts_.names[c], " (",
                                    Rounded(facts_.spectra.eigenvalues[c][0].item<double>()), ")"));
    }
    return HeatMap(
        {"strongest_eigenvector", "The strongest eigenvector of each output",
         absl::StrCat(
             "One row an output, with its eigenvalue of largest size; one column an input. Strong "
             "colours are the inputs that the direction reads; only their relative signs mean "
             "something. image_shape=[height, width] shows pictures instead.",
             Shown(few_))},
        rows, labels, {}, {.title = "input"}, {.title = "output"});
  }

  Figure EffectiveRank() const {
    const std::vector<int64_t> outputs = facts_.Foremost(kBarsMax);
    auto series = [&](const char* name, const at::Tensor& measure) {
      const std::vector<double> all = ToDoubles(measure);
      Series bars{.name = name};
      for (const int64_t c : outputs) bars.y.push_back(all[c]);
      return bars;
    };
    return Bars(
        {"effective_rank", "How many directions each output uses",
         absl::StrCat(
             "Low bars: the output is decided by few directions, out of ", facts_.sizes.rank,
             ". The stable rank looks at the largest eigenvalues only, the "
             "entropy rank also counts "
             "the small ones, the effective rank stands between them.",
             facts_.sizes.top_only() ? " Effective and entropy rank are lower bounds: solver topk."
                                     : "",
             Shown(outputs))},
        Names(outputs),
        {series("effective rank", facts_.measures.effective_rank),
         series("stable rank", facts_.measures.stable_rank),
         series("entropy rank", facts_.measures.entropy_rank)},
        {.title = "output"}, {.title = "rank", .unit = "directions"});
  }

  Figure SpectralMass() const {
    const int64_t shown = std::min(kRanksShown, facts_.sizes.values);
    std::vector<Series> series;
    for (const int64_t c : few_) {
      series.push_back({.name = facts_.names[c],
                        .y = ToDoubles(facts_.measures.spectral_mass[c].narrow(0, 0, shown))});
    }
    return Lines(
        {"spectral_mass", "How much the first eigenvectors hold",
         absl::StrCat(
             "The share of all |eigenvalues| that the first 1, 2, 3, ... hold. Where a line comes "
             "near 1, the rest could be left out.",
             facts_.sizes.top_only() ? " The lines are lower bounds: solver topk." : "",
             Shown(few_))},
        series, {.title = "eigenvectors"}, {.title = "share of the spectrum"});
  }

  Figure Significance() const {
    const std::vector<int64_t> outputs = facts_.Foremost(kBarsMax);
    const auto highest = ToDoubles(facts_.MostOfSign(1).clamp_min(0)),
               lowest = ToDoubles(-facts_.MostOfSign(-1).clamp_max(0));
    const auto threshold = ToDoubles(facts_.null_threshold);
    Series positive{.name = "largest positive"}, negative{.name = "largest negative"};
    Series chance{.name = "largest by chance"};
    for (const int64_t c : outputs) {
      positive.y.push_back(highest[c]);
      negative.y.push_back(lowest[c]);
      chance.y.push_back(threshold[c]);
    }
    return Bars({"significance", "Eigenvalues against chance",
                 absl::StrCat("The last bar of each group is the largest eigenvalue that ",
                              facts_.sizes.null_draws,
                              " random rotations of L and R gave. A bar well above it is structure "
                              "that training put "
                              "there; one below it could be chance.",
                              Shown(outputs))},
                Names(outputs), {positive, negative, chance}, {.title = "output"},
                {.title = "|eigenvalue|", .unit = "logit"});
  }

  const SpectrumFacts& facts_;
  const std::vector<int64_t> few_;
  std::vector<Figure> list_;
};

}  // namespace

std::vector<double> SpectrumFacts::PictureOf(const at::Tensor& vector) const {
  return ToDoubles(vector.reshape({-1, height(), width()}).mean(0));
}

std::vector<Figure> SpectrumFigures(const SpectrumFacts& facts) { return Figures(facts).Take(); }

}  // namespace radiograph::bilinear
