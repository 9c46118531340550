// bilinear.spectrum from inputs to result.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
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

struct Data {
  at::Tensor inputs;  // [N, n] as stored; undefined without data
  at::Tensor labels;  // int64 [N]; undefined without labels

  bool any() const { return inputs.defined() && inputs.size(0) > 0; }
};

absl::Status CheckRows(const at::Tensor& inputs) {
  const absl::Status finite = CheckFinite("inputs", inputs);
  if (finite.ok()) return finite;
  const at::Tensor bad = at::isfinite(inputs).all(1).logical_not();
  return absl::InvalidArgumentError(absl::StrCat(
      "data, row ", bad.to(at::kByte).argmax().item<int64_t>(), ": ", finite.message()));
}

absl::Status CheckLabels(const at::Tensor& labels, int64_t outputs) {
  const at::Tensor wrong = at::logical_or(labels < 0, labels >= outputs);
  if (!wrong.any().item<bool>()) return absl::OkStatus();
  const int64_t row = wrong.to(at::kByte).argmax().item<int64_t>();
  return absl::OutOfRangeError(absl::StrCat("data, row ", row, ": the label is ",
                                            labels[row].item<int64_t>(), "; 0..", outputs - 1,
                                            " is allowed"));
}

absl::StatusOr<Data> ReadData(const Inputs& inputs, const LayerShapes& shapes) {
  Data data;
  const Artifact* artifact = inputs.Find("data");
  if (artifact == nullptr) return data;
  ASSIGN_OR_RETURN(data.inputs, artifact->Tensor(artifact->header.Role("inputs")->name));
  data.inputs = data.inputs.reshape({data.inputs.size(0), shapes.inputs});
  RETURN_IF_ERROR(CheckRows(data.inputs));
  if (const auto* labels = artifact->header.Role("labels")) {
    ASSIGN_OR_RETURN(const at::Tensor stored, artifact->Tensor(labels->name));
    data.labels = stored.to(at::kLong);
    RETURN_IF_ERROR(CheckLabels(data.labels, shapes.outputs));
  }
  return data;
}

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
    ASSIGN_OR_RETURN(data_, ReadData(inputs_, facts_.shapes));
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
    if (!facts_.params.assume_bilinear) return;
    const Architecture& architecture = model_.header.architecture;
    if (!architecture.activation.empty()) {
      facts_.assumed =
          absl::StrCat("the activation ", architecture.activation, " that config.json declares");
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
    ASSIGN_OR_RETURN(
        facts_.spectra,
        DecomposeOutputs(
            layer_, coordinates_, probes,
            {.kept = facts_.sizes.kept, .solver = facts_.params.solver, .seed = context_.seed()},
            Phase(0.05, null ? 0.3 : 0.9, "eigenvectors")));
    facts_.fidelity_error = FidelityError(layer_, probes, facts_.spectra.quadratic);
    if (!(facts_.fidelity_error <= FidelityTolerance(dtype_))) {
      return absl::FailedPreconditionError(absl::StrCat(
          "not bilinear: quadratic forms miss the layer's outputs by ", facts_.fidelity_error,
          " of the largest; at most ", FidelityTolerance(dtype_), " is allowed"));
    }
    // On the CPU: cumulative sums have no deterministic form on CUDA.
    facts_.measures = MeasureSpectrum(facts_.spectra.eigenvalues.to(at::kCPU));
    facts_.zero = facts_.spectra.eigenvalues.select(1, 0) == 0;
    for (const auto& [role, name] : facts_.shapes.roles.names) {
      if (role.ends_with("_bias")) {
        facts_.linear = LinearPart(layer_);
        facts_.constant = ConstantPart(layer_);
      }
    }
    return absl::OkStatus();
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
    ASSIGN_OR_RETURN(const at::Tensor maxima,
                     NullMaxima(layer_, coordinates_, draws, context_.seed(),
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
    if (facts_.params.samples.empty()) return absl::OkStatus();
    const at::Tensor chosen = at::tensor(facts_.params.samples, at::kLong);
    facts_.explained_inputs = data_.inputs.index_select(0, chosen).to(layer_.left.options());
    ASSIGN_OR_RETURN(facts_.explanations, Explain(layer_, coordinates_, facts_.explained_inputs,
                                                  Phase(0.95, 0.98, "explanations")));
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
  Data data_;
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
