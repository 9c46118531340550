// Arrays, metrics, verdicts and tables of bilinear.spectrum.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/analyses/bilinear/spectrum_facts.h"
#include "core/tensor/tensors.h"

namespace radiograph::bilinear {
namespace {

constexpr int64_t kTableRowsMax = 1000;
constexpr int64_t kExplainedPerSign = 10;

std::vector<Array> Arrays(const SpectrumFacts& facts) {
  const Spectra& spectra = facts.spectra;
  const SpectrumMeasures& measures = facts.measures;
  std::vector<Array> arrays;  // an initializer list would copy the bytes
  arrays.push_back(ToArray("eigenvalues", {"output", "rank"}, spectra.eigenvalues));
  arrays.push_back(
      ToArray("eigenvectors_input", {"output", "rank", "input"}, spectra.eigenvectors));
  arrays.push_back(ToArray("effective_rank", {"output"}, measures.effective_rank, true));
  arrays.push_back(ToArray("stable_rank", {"output"}, measures.stable_rank, true));
  arrays.push_back(ToArray("entropy_rank", {"output"}, measures.entropy_rank, true));
  arrays.push_back(ToArray("participation", {"output"}, measures.participation, true));
  arrays.push_back(ToArray("spectral_mass", {"output", "rank"}, measures.spectral_mass, true));
  arrays.push_back(ToArray("pixel_count", {"output", "rank"}, spectra.pixel_count, true));
  if (measures.positive_share.defined()) {
    arrays.push_back(ToArray("positive_share", {"output"}, measures.positive_share, true));
  }
  if (facts.null_threshold.defined()) {
    arrays.push_back(ToArray("null_threshold", {"output"}, facts.null_threshold));
    arrays.push_back(ToArray("p_values", {"output", "rank"}, facts.p_values));
  }
  if (facts.linear.defined()) {
    arrays.push_back(ToArray("linear", {"output", "width"}, facts.linear));
    arrays.push_back(ToArray("constant", {"output"}, facts.constant));
  }
  if (facts.logits.defined()) {
    arrays.push_back(ToArray("contributions_mean", {"output", "rank"}, facts.contributions.mean));
    arrays.push_back(
        ToArray("firing_frequency", {"output", "rank"}, facts.contributions.firing_frequency));
    arrays.push_back(ToArray("logits", {"sample", "output"}, facts.logits));
  }
  return arrays;
}

Metric Value(std::string name, double value) {
  Metric metric;
  metric.name = std::move(name);
  metric.value = value;
  return metric;
}

Metric Undefined(std::string name, std::string reason) {
  Metric metric;
  metric.name = std::move(name);
  metric.reason = std::move(reason);
  return metric;
}

// Over the outputs that have a spectrum.
Metric Mean(std::string name, const at::Tensor& values) {
  const at::Tensor mean = values.nanmean();
  if (mean.isnan().item<bool>()) return Undefined(std::move(name), "ZERO_DIRECTION");
  Metric metric = Value(std::move(name), mean.item<double>());
  metric.n = values.isnan().logical_not().sum().item<int64_t>();
  return metric;
}

// Where all k eigenvalues of an output stand out there may be more.
Metric Significant(const SpectrumFacts& facts) {
  if (!facts.significant.defined()) return Undefined("significant_mean", "NO_DRAWS");
  Metric metric = Mean("significant_mean", facts.significant);
  const bool more = (facts.significant == facts.sizes.values).any().item<bool>();
  if (facts.sizes.top_only() && more) metric.exactness = Exactness::kLowerBound;
  return metric;
}

std::vector<Metric> Metrics(const SpectrumFacts& facts) {
  const SpectrumMeasures& measures = facts.measures;
  const bool samples = facts.logits.defined(), top_only = facts.sizes.top_only();
  Metric effective_rank = Mean("effective_rank_mean", measures.effective_rank);
  Metric entropy_rank = Mean("entropy_rank_mean", measures.entropy_rank);
  if (top_only && effective_rank.value.has_value()) {
    effective_rank.exactness = entropy_rank.exactness = Exactness::kLowerBound;
    effective_rank.low = effective_rank.value;
    effective_rank.high = facts.effective_rank_high.nanmean().item<double>();
    effective_rank.level = 1;  // no estimate: it lies between
  }
  return {std::move(effective_rank),
          Mean("stable_rank_mean", measures.stable_rank),
          std::move(entropy_rank),
          top_only ? Undefined("positive_share_mean", "TOP_ONLY")
                   : Mean("positive_share_mean", measures.positive_share),
          Significant(facts),
          Value("fidelity_error", facts.fidelity_error),
          Value("residual_max", facts.spectra.residual_max),
          Value("orthogonality_max", facts.spectra.orthogonality_max),
          facts.accuracy.has_value() ? Value("accuracy", *facts.accuracy)
                                     : Undefined("accuracy", samples ? "NO_LABELS" : "NO_DATA")};
}

// Green up to the first limit, amber up to the second.
Verdict Light(std::string name, double value, double green, double amber) {
  const char* light = value <= green ? "green" : value <= amber ? "amber" : "red";
  return {.name = std::move(name), .value = light, .one_of = {"green", "amber", "red"}};
}

// None where the bounds of the rank don't agree on the light.
std::optional<Verdict> LowRank(const SpectrumFacts& facts) {
  if (facts.params.space != Space::kInput) return std::nullopt;
  auto light = [&facts](const at::Tensor& rank) {
    return Light("low_rank", rank.nanmean().item<double>() / facts.sizes.rank, 0.10, 0.35);
  };
  if (facts.measures.effective_rank.isnan().all().item<bool>()) return std::nullopt;
  Verdict verdict = light(facts.measures.effective_rank);
  if (facts.sizes.top_only() && light(facts.effective_rank_high).value != verdict.value) {
    return std::nullopt;
  }
  return verdict;
}

std::vector<Verdict> Verdicts(const SpectrumFacts& facts) {
  std::vector<Verdict> verdicts = {Light("faithfulness", facts.fidelity_error, 1e-5, 1e-4)};
  // The arithmetic is right, but not of the whole model.
  if (!facts.unheeded.empty() && verdicts[0].value == "green") verdicts[0].value = "amber";
  if (auto low_rank = LowRank(facts)) verdicts.push_back(*std::move(low_rank));
  return verdicts;
}

Cell NumberOrNone(double value) { return std::isnan(value) ? Cell() : Cell(value); }

Table Outputs(const SpectrumFacts& facts) {
  Table table{.name = "outputs",
              .columns = {{"output", ""},
                          {"effective_rank", "directions"},
                          {"significant", "directions"},
                          {"most_positive", "logit"},
                          {"most_negative", "logit"},
                          {"null_threshold", "logit"},
                          {"positive_share", "fraction"},
                          {"stable_rank", "directions"},
                          {"entropy_rank", "directions"},
                          {"pixel_count", "inputs"}},
              .rows = {}};
  const auto effective = ToDoubles(facts.measures.effective_rank);
  const auto stable = ToDoubles(facts.measures.stable_rank);
  const auto entropy = ToDoubles(facts.measures.entropy_rank);
  const auto highest = ToDoubles(facts.MostOfSign(1)), lowest = ToDoubles(facts.MostOfSign(-1));
  const auto pixels = ToDoubles(facts.spectra.pixel_count.select(1, 0));
  const at::Tensor none = at::full({facts.sizes.outputs}, std::nan(""), at::kDouble);
  const auto share = ToDoubles(facts.sizes.top_only() ? none : facts.measures.positive_share);
  const auto significant = ToDoubles(facts.significant.defined() ? facts.significant : none);
  const auto threshold = ToDoubles(facts.significant.defined() ? facts.null_threshold : none);
  for (const int64_t c : facts.Foremost(kTableRowsMax)) {
    table.rows.push_back({facts.names[c], NumberOrNone(effective[c]), NumberOrNone(significant[c]),
                          NumberOrNone(highest[c]), NumberOrNone(lowest[c]),
                          NumberOrNone(threshold[c]), NumberOrNone(share[c]),
                          NumberOrNone(stable[c]), NumberOrNone(entropy[c]),
                          NumberOrNone(pixels[c])});
  }
  return table;
}

// The strongest contributions of each sign to the three largest logits of each explained sample.
Table Explanations(const SpectrumFacts& facts) {
  Table table{.name = "explanations",
              .columns = {{"sample", ""},
                          {"output", ""},
                          {"logit", "logit"},
                          {"term", ""},
                          {"eigenvalue", "logit"},
                          {"contribution", "logit"}},
              .rows = {}};
  for (const Explanation& e : facts.explanations) {
    const Cell sample = static_cast<double>(facts.params.samples[e.sample]);
    const auto values = ToDoubles(e.eigenvalues), contributions = ToDoubles(e.contributions);
    std::vector<int64_t> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return contributions[a] > contributions[b]; });
    const int64_t rank = order.size();
    for (int64_t i = 0; i < rank; ++i) {
      const int64_t j = order[i];
      const bool listed =
          contributions[j] > 0 ? i < kExplainedPerSign : i >= rank - kExplainedPerSign;
      if (!listed || contributions[j] == 0) continue;
      table.rows.push_back({sample, facts.names[e.output], e.logit,
                            absl::StrCat("eigenvector ", j + 1), values[j], contributions[j]});
    }
    if (facts.linear.defined()) {
      table.rows.push_back({sample, facts.names[e.output], e.logit, "linear", Cell(), e.linear});
      table.rows.push_back(
          {sample, facts.names[e.output], e.logit, "constant", Cell(), e.constant});
    }
  }
  return table;
}

}  // namespace

std::vector<double> ToDoubles(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kCPU, at::kDouble).reshape(-1).contiguous();
  const double* values = flat.const_data_ptr<double>();
  return {values, values + flat.numel()};
}

std::string Rounded(double value) { return absl::StrFormat("%.4g", value); }

at::Tensor SpectrumFacts::MostOfSign(int sign) const {
  const at::Tensor& lambda = spectra.eigenvalues;
  const at::Tensor most = sign > 0 ? lambda.amax(1) : lambda.amin(1);
  if (!sizes.top_only()) return most;
  return at::where(most * sign < 0, at::full_like(most, std::nan("")), most);
}

std::vector<int64_t> SpectrumFacts::Foremost(int64_t count) const {
  const std::vector<double> largest = ToDoubles(spectra.eigenvalues.select(1, 0).abs());
  std::vector<int64_t> outputs(largest.size());
  std::iota(outputs.begin(), outputs.end(), 0);
  if (static_cast<int64_t>(outputs.size()) <= count) return outputs;
  std::stable_sort(outputs.begin(), outputs.end(),
                   [&](int64_t a, int64_t b) { return largest[a] > largest[b]; });
  outputs.resize(count);
  std::sort(outputs.begin(), outputs.end());
  return outputs;
}

Result SpectrumResult(const SpectrumFacts& facts) {
  Result result;
  result.metrics = Metrics(facts);
  result.verdicts = Verdicts(facts);
  result.tables.push_back(Outputs(facts));
  if (!facts.explanations.empty()) result.tables.push_back(Explanations(facts));
  result.findings = SpectrumFindings(facts);
  result.figures = SpectrumFigures(facts);
  for (Figure& figure : ExplanationFigures(facts)) result.figures.push_back(std::move(figure));
  result.arrays = Arrays(facts);
  result.run_notes["null_draws"] = absl::StrCat(facts.sizes.null_draws);
  result.run_notes["dtype"] =
      facts.spectra.eigenvalues.scalar_type() == at::kDouble ? "float64" : "float32";
  return result;
}

}  // namespace radiograph::bilinear
