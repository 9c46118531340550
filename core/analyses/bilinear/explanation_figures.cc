// Figures of bilinear.spectrum that explain single samples.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/analyses/bilinear/spectrum_facts.h"
#include "core/results/figures.h"

namespace radiograph::bilinear {
namespace {

constexpr int64_t kContributionsShown = 10;  // of each sign

class Figures {
 public:
  explicit Figures(const SpectrumFacts& facts) : facts_(facts) {}

  std::vector<Figure> Take() {
    for (size_t begin = 0; begin < facts_.explanations.size();) {
      size_t end = begin;
      while (end < facts_.explanations.size() &&
             facts_.explanations[end].sample == facts_.explanations[begin].sample) {
        ++end;
      }
      Explained(begin, end);
      begin = end;
    }
    return std::move(list_);
  }

 private:
  // Figures of the explanations [begin, end), which are of one sample.
  void Explained(size_t begin, size_t end) {
    const int64_t place = facts_.explanations[begin].sample;
    const int64_t sample = facts_.params.samples[place];
    list_.push_back(Contributions(sample, facts_.explanations[begin]));
    if (!facts_.has_pictures()) return;
    PictureGrid grid{.height = facts_.height(),
                     .width = facts_.width(),
                     .columns = {"sample", "strongest for", "strongest against"}};
    const at::Tensor input = facts_.explained_inputs[place];
    // One colour scale serves the whole grid: the sample is scaled to the vectors'.
    const at::Tensor scaled = input / std::max(input.norm().item<double>(), 1e-30);
    for (size_t i = begin; i < end; ++i) {
      const Explanation& e = facts_.explanations[i];
      PictureRow row{.label = absl::StrCat(facts_.names[e.output], " (", Rounded(e.logit), ")")};
      row.pictures.push_back({.values = facts_.PictureOf(scaled)});
      for (const auto& [vector, largest] : {std::pair{e.positive, e.contributions.amax()},
                                            std::pair{e.negative, e.contributions.amin()}}) {
        if (!vector.defined()) {
          row.pictures.emplace_back();
        } else {
          row.pictures.push_back({.title = absl::StrFormat("%+.3g", largest.item<double>()),
                                  .values = facts_.PictureOf(vector)});
        }
      }
      grid.rows.push_back(std::move(row));
    }
    list_.push_back(Pictures({absl::StrCat("explanation_", sample),
                              absl::StrCat("Sample ", sample, ": what speaks for and against"),
                              "One row for each of the largest logits: the sample (scaled to unit "
                              "length), then the eigenvectors that add "
                              "most and take away most, with their contributions to the logit."},
                             grid));
  }

  Figure Contributions(int64_t sample, const Explanation& e) const {
    const std::vector<double> contributions = ToDoubles(e.contributions);
    std::vector<std::pair<double, int64_t>> order;
    for (size_t j = 0; j < contributions.size(); ++j) order.emplace_back(-contributions[j], j);
    std::sort(order.begin(), order.end());
    Series bars{.name = "contribution"};
    std::vector<std::string> labels;
    const int64_t rank = order.size();
    for (int64_t i = 0; i < rank; ++i) {
      if (i >= kContributionsShown && i < rank - kContributionsShown) continue;
      labels.push_back(absl::StrCat("#", order[i].second + 1));
      bars.y.push_back(-order[i].first);
    }
    return Bars(
        {absl::StrCat("contributions_", sample),
         absl::StrCat("Sample ", sample, ": contributions to output ", facts_.names[e.output]),
         absl::StrCat("The eigenvectors that add most to the largest logit (", Rounded(e.logit),
                      ") and that take most away; # is the place by |eigenvalue|. All "
                      "contributions, with the "
                      "linear and constant parts where there are biases, add up to the logit.")},
        labels, {bars}, {.title = "eigenvector"}, {.title = "contribution", .unit = "logit"});
  }

  const SpectrumFacts& facts_;
  std::vector<Figure> list_;
};

}  // namespace

std::vector<Figure> ExplanationFigures(const SpectrumFacts& facts) { return Figures(facts).Take(); }

}  // namespace radiograph::bilinear
