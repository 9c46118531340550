// bilinear.spectrum from inputs to result.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/analyses/bilinear/evaluation_data.h"
#include "core/analyses/bilinear/explain.h"
#include "core/analyses/bilinear/spectrum.h"
#include "core/analyses/bilinear/spectrum_facts.h"
#include "core/base/status_macros.h"
#include "core/numerics/random.h"
#include "core/tensor/tensors.h"

namespace radiograph::bilinear {
namespace {

constexpr int64_t kProbes = 256;
constexpr uint64_t kProbeStream = 1;
// Largest relative error of the quadratic forms (sheet of the method: 1e-9 in float64, 1e-4 in
// float32).
double FidelityTolerance(at::ScalarType dtype) { return dtype == at::kDouble ? 1e-9 : 1e-4; }

// The run, step by step. Progress is told per phase: each has its share of the whole.
class Run {
 public:
  Run(const SpectrumParams& params, const Inputs& inputs, Context& context)
      : inputs_(inputs),
        context_(context),
        model_(*inputs.Find("model")),
        directions_(inputs.Find("directions")) {
    facts_.params = params;
    // S^-1/2 is too ill-conditioned for float32.
    const bool exact = params.precision == Precision::kFloat64 || params.space == Space::kData;
    dtype_ = exact ? at::kDouble : at::kFloat;
  }

  absl::StatusOr<Result> Execute() {
    RETURN_IF_ERROR(Read());
    RETURN_IF_ERROR(Decompose());
    RETURN_IF_ERROR(CompareWithNull());
    RETURN_IF_ERROR(LookAtData());
    RETURN_IF_ERROR(Progress(0.98, "figures"));
    return SpectrumResult(facts_);
  }

 private:
  absl::Status Progress(double fraction, absl::string_view phase) {
    return context_.Progress(fraction, phase);
  }
  // Report of a phase that reaches from `begin` to `end`.
  auto Phase(double begin, double end, absl::string_view phase) {
    return [this, begin, end, phase](double done) {
      return Progress(std::lerp(begin, end, done), phase);
    };
  }

  absl::StatusOr<BilinearLayer> ReadOutputs(bool centre, std::vector<int64_t> rows) const {
    return ReadLayer(
        model_, directions_, facts_.shapes,
        {.dtype = dtype_, .device = context_.device(), .centre = centre, .rows = std::move(rows)});
  }

  absl::Status Read() {
    RETURN_IF_ERROR(Progress(0, "reading"));
    const SpectrumParams& params = facts_.params;
    ASSIGN_OR_RETURN(facts_.shapes,
                     ReadLayerShapes(model_.header, directions_ ? &directions_->header : nullptr,
                                     params.Layer()));
    ASSIGN_OR_RETURN(layer_, ReadOutputs(params.centre, params.rows));
    ASSIGN_OR_RETURN(data_, ReadEvaluationData(inputs_, facts_.shapes));
    const Artifact* data = inputs_.Find("data");
    facts_.sizes = SizesOf(params, facts_.shapes, data ? data->header.Role("inputs") : nullptr);
    facts_.directions_given = directions_ != nullptr;
    NameOutputs();
    NameAssumption();
    return absl::OkStatus();
  }

  void NameOutputs() {
    const std::vector<std::string>& known =
        directions_ ? directions_->names.rows : model_.names.classes;
    for (int64_t i = 0; i < facts_.sizes.outputs; ++i) {
      const int64_t row = facts_.params.rows.empty() ? i : facts_.params.rows[i];
      facts_.names.push_back(row < static_cast<int64_t>(known.size()) ? known[row]
                                                                      : absl::StrCat(row));
    }
  }

  void NameAssumption() {
    const Architecture& architecture = model_.header.architecture;
    facts_.unheeded = architecture.unheeded;
    if (!facts_.params.assume_bilinear) return;
    if (!architecture.activation.empty()) {
      facts_.assumed =
          absl::StrCat("the activation ", architecture.activation, " that config.json declares");
    } else if (architecture.says_not_bilinear) {
      facts_.assumed = "that config.json says \"bilinear\": false";
    } else if (architecture.family == "gated" || facts_.shapes.roles.gated) {
      facts_.assumed = "a gate function, which the tensor names gate_proj and up_proj speak of";
    }
  }

  absl::Status Decompose() {
    if (facts_.params.space == Space::kEmbed) coordinates_ = EmbedCoordinates(layer_);
    if (facts_.params.space == Space::kInput) coordinates_ = InputCoordinates(layer_);
    if (facts_.params.space == Space::kData) {
      ASSIGN_OR_RETURN(const at::Tensor moment,
                       SecondMoment(layer_, data_.inputs, Phase(0.01, 0.05, "moments")));
      coordinates_ = DataCoordinates(layer_, moment);
    }
    const bool null = facts_.sizes.null_draws > 0;
    const at::Tensor probes = Probes();
    std::optional<Explainer> explainer = MakeExplainer();
    ASSIGN_OR_RETURN(facts_.spectra,
                     DecomposeOutputs(layer_, coordinates_, probes,
                                      {.kept = facts_.sizes.kept,
                                       .values = facts_.sizes.values,
                                       .seed = context_.seed(),
                                       .explainer = explainer.has_value() ? &*explainer : nullptr},
                                      Phase(0.05, null ? 0.3 : 0.9, "eigenvectors")));
    facts_.fidelity_error = FidelityError(layer_, probes, facts_.spectra.quadratic);
    if (!(facts_.fidelity_error <= FidelityTolerance(dtype_))) {
      return absl::FailedPreconditionError(absl::StrCat(
          "not bilinear: quadratic forms miss the layer's outputs by ", facts_.fidelity_error,
          " of the largest; at most ", FidelityTolerance(dtype_), " is allowed"));
    }
    if (explainer.has_value()) facts_.explanations = explainer->Take();
    Measure();
    facts_.zero = facts_.spectra.eigenvalues.select(1, 0) == 0;
    const RoleNames& roles = facts_.shapes.roles.names;
    facts_.biases = std::any_of(roles.begin(), roles.end(),
                                [](const auto& role) { return role.first.ends_with("_bias"); });
    if (facts_.biases || facts_.shapes.residual) {
      facts_.linear = LinearPart(layer_);
      facts_.constant = ConstantPart(layer_);
    }
    return absl::OkStatus();
  }

  // On the CPU: cumulative sums have no deterministic form on CUDA.
  void Measure() {
    const at::Tensor values = facts_.spectra.eigenvalues.to(at::kCPU);
    if (!facts_.sizes.top_only()) {
      facts_.measures = MeasureSpectrum(values);
      return;
    }
    const int64_t rank_max = std::min(facts_.sizes.rank, 2 * facts_.shapes.hidden);
    const int64_t rest = std::max<int64_t>(rank_max - facts_.sizes.values, 0);
    SpectrumBounds bounds = BoundSpectrum(values, facts_.spectra.stable_rank.to(at::kCPU), rest);
    facts_.measures = std::move(bounds.low);
    facts_.effective_rank_high = std::move(bounds.effective_rank_high);
  }

  std::optional<Explainer> MakeExplainer() {
    if (facts_.params.samples.empty()) return std::nullopt;
    const at::Tensor chosen = at::tensor(facts_.params.samples, at::kLong);
    facts_.explained_inputs = data_.inputs.index_select(0, chosen).to(layer_.left.options());
    return Explainer(layer_, facts_.explained_inputs);
  }

  // Samples of the data, or normal numbers, over the raw input.
  at::Tensor Probes() const {
    if (data_.any()) {
      return data_.inputs.narrow(0, 0, std::min(kProbes, data_.inputs.size(0)))
          .to(layer_.left.options());
    }
    return RandomNormal({context_.seed(), kProbeStream}, {kProbes, facts_.shapes.inputs})
        .to(layer_.left.options());
  }

  absl::Status CompareWithNull() {
    const int64_t draws = facts_.sizes.null_draws;
    if (draws == 0) return absl::OkStatus();
    ASSIGN_OR_RETURN(const at::Tensor maxima, NullMaxima(layer_, coordinates_, draws, context_,
                                                         Phase(0.3, 0.9, "random rotations")));
    facts_.null_threshold = maxima.amax(0);
    const at::Tensor sizes = facts_.spectra.eigenvalues.abs();
    facts_.significant = (sizes > facts_.null_threshold.unsqueeze(1)).sum(1).to(at::kDouble);
    const at::Tensor kept = sizes.narrow(1, 0, facts_.sizes.kept);
    const at::Tensor reached = (maxima.unsqueeze(-1) >= kept).sum(0).to(at::kDouble);
    facts_.p_values = (reached + 1) / (draws + 1.0);
    return absl::OkStatus();
  }

  absl::Status LookAtData() {
    if (!data_.any()) return absl::OkStatus();
    ASSIGN_OR_RETURN(facts_.contributions, MeasureContributions(facts_.spectra, data_.inputs,
                                                                Phase(0.9, 0.92, "contributions")));
    ASSIGN_OR_RETURN(facts_.logits, Logits(layer_, data_.inputs, Phase(0.92, 0.94, "logits")));
    if (data_.labels.defined()) {
      ASSIGN_OR_RETURN(const at::Tensor logits, AllLogits());
      const at::Tensor right = logits.argmax(1).to(at::kCPU) == data_.labels;
      facts_.accuracy = right.to(at::kDouble).mean().item<double>();
      RETURN_IF_ERROR(CompareWithClasses());
    }
    return absl::OkStatus();
  }

  absl::Status CompareWithClasses() {
    if (facts_.directions_given) return absl::OkStatus();  // they are no classes
    const at::Tensor classes = facts_.params.rows.empty()
                                   ? at::arange(facts_.sizes.outputs, at::kLong)
                                   : at::tensor(facts_.params.rows, at::kLong);
    ASSIGN_OR_RETURN(facts_.class_cosines, ClassCosines(facts_.spectra, data_.inputs, data_.labels,
                                                        classes, Phase(0.95, 0.95, "class means")));
    return absl::OkStatus();
  }

  // Labels are places among all outputs, whichever of them are analysed.
  absl::StatusOr<at::Tensor> AllLogits() {
    if (facts_.params.rows.empty()) return facts_.logits;
    ASSIGN_OR_RETURN(const BilinearLayer all, ReadOutputs(/*centre=*/false, /*rows=*/{}));
    return Logits(all, data_.inputs, Phase(0.94, 0.95, "logits"));
  }

  const Inputs& inputs_;
  Context& context_;
  const Artifact& model_;
  const Artifact* const directions_;
  at::ScalarType dtype_;
  EvaluationData data_;
  BilinearLayer layer_;
  Coordinates coordinates_;
  SpectrumFacts facts_;
};

}  // namespace

absl::StatusOr<Result> Spectrum(const SpectrumParams& params, const Inputs& inputs,
                                Context& context) {
  return Run(params, inputs, context).Execute();
}

}  // namespace radiograph::bilinear
