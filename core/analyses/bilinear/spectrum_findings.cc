// What bilinear.spectrum found, in words.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/analyses/bilinear/spectrum_facts.h"

namespace radiograph::bilinear {
namespace {

constexpr size_t kNamesMax = 10;

std::string Listed(std::vector<std::string> names) {
  const size_t more = names.size() > kNamesMax ? names.size() - kNamesMax : 0;
  names.resize(names.size() - more);
  return absl::StrCat(absl::StrJoin(names, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

Finding Info(std::string code, std::string text, std::vector<std::string> evidence,
             std::string caveat = "") {
  return {.code = std::move(code),
          .level = FindingLevel::kInfo,
          .text = std::move(text),
          .evidence = std::move(evidence),
          .caveat = std::move(caveat)};
}

Finding Warning(std::string code, std::string text, std::vector<std::string> evidence,
                std::string caveat = "") {
  Finding finding = Info(std::move(code), std::move(text), std::move(evidence), std::move(caveat));
  finding.level = FindingLevel::kWarning;
  return finding;
}

class Findings {
 public:
  explicit Findings(const SpectrumFacts& facts) : facts_(facts) {}

  std::vector<Finding> Take() {
    Assumption();  // must come first
    Unheeded();
    Unread();
    LowRank();
    Extremes();
    Significance();
    Data();
    ZeroDirections();
    Choices();
    Fidelity();
    return std::move(list_);
  }

 private:
  void Assumption() {
    if (facts_.assumed.empty()) return;
    list_.push_back(
        Warning("ASSUMED_BILINEAR",
                absl::StrCat("assume_bilinear passes over ", facts_.assumed,
                             ": all that follows describes the model with that function left out, "
                             "not the model itself."),
                {}, "How far the two are apart is not measured."));
  }

  // Tensors show neither a normalisation nor a scale; only config.json tells of them.
  void Unheeded() {
    if (facts_.unheeded.empty()) return;
    list_.push_back(
        Warning("UNHEEDED_CONFIG",
                absl::StrCat("config.json says of the model what this analysis does not compute: ",
                             absl::StrJoin(facts_.unheeded, "; "), "."),
                {},
                "Where one of these changes the function, eigenvalues, logits and accuracy are "
                "those of the model without it."));
  }

  // A misspelt name of an optional tensor is not an error, but it is not the model either.
  void Unread() {
    const std::vector<std::string>& unread = facts_.shapes.roles.unread;
    if (unread.empty()) return;
    list_.push_back(Warning(
        "UNREAD_TENSORS",
        absl::StrCat("Tensors that play no role in any layer were not read: ", Listed(unread), "."),
        {},
        "If one of them is the embedding, the projection or a bias of this layer, name it in the "
        "parameter `tensors`."));
  }

  void LowRank() {
    const double rank = facts_.measures.effective_rank.nanmean().item<double>();
    if (std::isnan(rank)) return;
    const bool embed = facts_.params.space == Space::kEmbed;
    list_.push_back(Info("EFFECTIVE_RANK",
                         absl::StrCat("On average an output effectively uses ",
                                      facts_.sizes.top_only() ? "at least " : "", Rounded(rank),
                                      " of ", facts_.sizes.rank, " directions."),
                         {"effective_rank_mean", "effective_rank", "spectrum"},
                         embed ? "In space embed the number depends on the arbitrary basis of the "
                                 "embedding; space input does not."
                               : ""));
  }

  void Extremes() {
    const std::vector<double> rank = ToDoubles(facts_.measures.effective_rank);
    int64_t simplest = -1, widest = -1;
    for (int64_t c = 0; c < facts_.sizes.outputs; ++c) {
      if (std::isnan(rank[c])) continue;
      if (simplest < 0 || rank[c] < rank[simplest]) simplest = c;
      if (widest < 0 || rank[c] > rank[widest]) widest = c;
    }
    if (simplest == widest || facts_.sizes.top_only()) return;  // bounds have no order
    list_.push_back(
        Info("EXTREMES",
             absl::StrCat("Output ", facts_.names[simplest], " is the simplest (effective rank ",
                          Rounded(rank[simplest]), "), output ", facts_.names[widest],
                          " the most spread out (", Rounded(rank[widest]), ")."),
             {"outputs", "effective_rank"}));
  }

  void Significance() {
    const int64_t draws = facts_.sizes.null_draws;
    if (draws == 0) {
      list_.push_back(Info(
          "NO_NULL",
          facts_.params.null_draws.has_value()
              ? "No random rotations were asked for: nothing says which eigenvalues are more than "
                "chance."
              : "Random rotations were left out since outputs * width^3 is above 1e9: nothing says "
                "which eigenvalues are more than chance.",
          {"significant_mean"}, "null_draws=20 asks for them."));
      return;
    }
    const at::Tensor positive =
        (facts_.spectra.eigenvalues > facts_.null_threshold.unsqueeze(1)).sum(1).to(at::kDouble);
    list_.push_back(Info(
        "SIGNIFICANT",
        absl::StrCat("Per output ", Rounded(facts_.significant.mean().item<double>()),
                     " eigenvalues on average (", Rounded(positive.mean().item<double>()),
                     " of them positive) are larger than any that ", draws,
                     " random rotations of L and R reached; p = 1 / ", draws + 1, " for each."),
        {"significant_mean", "null_threshold", "p_values", "significance"},
        "The rotations keep all norms and break the alignment of L and R: that alignment is what "
        "is tested."));
  }

  void Data() {
    if (facts_.accuracy.has_value()) {
      list_.push_back(
          Info("ACCURACY",
               absl::StrCat("The layer with its head is right on ", Rounded(100 * *facts_.accuracy),
                            " % of ", facts_.sizes.samples, " samples."),
               {"accuracy", "logits"}));
    }
    if (!facts_.explanations.empty()) {
      list_.push_back(Info(
          "EXPLANATIONS",
          absl::StrCat("Of ", facts_.params.samples.size(), " of the samples the ",
                       kExplainedOutputs,
                       " largest logits are explained: the contributions of "
                       "all eigenvectors add up to each."),
          {"explanations"},
          "An input that overlaps with only the positive or only the negative vectors of an output "
          "gives it a large value; with both it cancels."));
    }
  }

  void ZeroDirections() {
    std::vector<std::string> zero;
    const std::vector<double> is_zero = ToDoubles(facts_.zero);
    for (int64_t c = 0; c < facts_.sizes.outputs; ++c) {
      if (is_zero[c] != 0) zero.push_back(facts_.names[c]);
    }
    if (zero.empty()) return;
    list_.push_back(Warning(
        "ZERO_DIRECTION",
        absl::StrCat("These outputs have no quadratic part at all, and no ranks: ", Listed(zero),
                     "."),
        {"eigenvalues", "effective_rank"}));
  }

  // What was chosen, by the user or for them.
  void Choices() {
    const SpectrumParams& params = facts_.params;
    if (facts_.sizes.top_only()) {
      list_.push_back(Info(
          "TOP_ONLY",
          absl::StrCat("Solver topk computed the ", facts_.sizes.values,
                       " eigenvalues of largest size of ", facts_.sizes.rank,
                       ": effective rank, entropy rank, participation and spectral mass are lower "
                       "bounds, the positive share is not known; stable rank, vectors and all "
                       "that data adds are exact."),
          {"effective_rank_mean", "eigenvalues"}, "solver=full computes all of them."));
    }
    if (facts_.directions_given) {
      list_.push_back(Info("DIRECTIONS_GIVEN",
                           "The outputs are the rows of the input directions, not of the head.",
                           {"outputs"}));
    }
    if (params.k > facts_.sizes.kept) {
      list_.push_back(
          Info("K_CLAMPED",
               absl::StrCat("k is ", params.k, ", but there are only ", facts_.sizes.kept,
                            " eigenvectors of each output: all are kept."),
               {"eigenvectors_input"}));
    }
    if (params.centre) {
      list_.push_back(
          Info("CENTRED",
               "From every output the mean of all outputs was subtracted, which softmax and "
               "argmax do not see; logits are centred too.",
               {"eigenvalues"}));
    }
    if (params.space == Space::kData && params.precision == Precision::kFloat32) {
      list_.push_back(Warning("FLOAT64_USED",
                              "Space data was computed in float64: float32 does not carry the root "
                              "of the second moments.",
                              {"residual_max"}));
    }
    if (facts_.shapes.residual) {
      list_.push_back(
          Info("RESIDUAL",
               "The block adds its input to its output, as config.json declares: beside "
               "the quadratic part that the eigenvectors describe, outputs have a "
               "linear part, head . embed . x.",
               {"linear"}));
    }
    if (facts_.biases) {
      list_.push_back(
          Info("BIASES",
               "The layer has biases: beside the quadratic part that the eigenvectors describe, "
               "outputs have a linear and a constant part.",
               {"linear", "constant"}));
    }
    if (const LayerRoles& roles = facts_.shapes.roles; roles.layers.size() > 1) {
      const bool regular = roles.layers.back() + 1 == static_cast<int64_t>(roles.layers.size());
      list_.push_back(
          Info("ONE_LAYER",
               absl::StrCat("This is layer ", roles.layer,
                            regular ? absl::StrCat(" of ", roles.layers.size(), " alone")
                                    : absl::StrCat(" alone (the bilinear ones are ",
                                                   LayersText(roles.layers), ")"),
                            ", read by the directions given."),
               {},
               roles.layer > roles.layers.front()
                   ? "Its input is what the layers before it write, not the model's input."
                   : "What later layers do with its output is not in it."));
    }
  }

  void Fidelity() {
    list_.push_back(Info(
        "FAITHFUL",
        absl::StrCat("On ", facts_.sizes.samples > 0 ? "samples of the data" : "256 random inputs",
                     " the quadratic forms and the layer run forward differ by ",
                     Rounded(facts_.fidelity_error),
                     " of the largest output; eigenpairs are exact to ",
                     Rounded(facts_.spectra.residual_max), "."),
        {"fidelity_error", "residual_max", "orthogonality_max"},
        "This checks the arithmetic. It cannot see a gate that the model applies and its tensors "
        "do not show."));
  }

  const SpectrumFacts& facts_;
  std::vector<Finding> list_;
};

}  // namespace

std::vector<Finding> SpectrumFindings(const SpectrumFacts& facts) { return Findings(facts).Take(); }

}  // namespace radiograph::bilinear
