#include "core/analyses/bilinear/spectrum_spec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/catalog/spec_builder.h"

namespace radiograph::bilinear {
namespace {

using safetensors::DType;
using safetensors::TensorInfo;

class Checks {
 public:
  void Add(absl::string_view field, std::string description) {
    violations_.push_back({std::string(field), std::move(description)});
  }
  absl::Status ToStatus() const {
    return violations_.empty() ? absl::OkStatus() : ViolationsStatus(violations_);
  }

 private:
  std::vector<Violation> violations_;
};

// Without the model: what parameters and data say for themselves.
void CheckParams(const SpectrumParams& params, const Headers& headers, Checks& checks) {
  const bool data = headers.Find("data") != nullptr;
  if (params.space == Space::kData && !data) {
    checks.Add("params.space", "is data, which needs the input data");
  }
  if (!params.samples.empty() && !data) checks.Add("params.samples", "needs the input data");
  if (!params.image_shape.empty() && params.image_shape.size() != 2 &&
      params.image_shape.size() != 3) {
    checks.Add("params.image_shape",
               absl::StrCat("has ", params.image_shape.size(),
                            " entries; [height, width] or [channels, height, width]"));
  }
}

void CheckShapes(const SpectrumParams& params, const LayerShapes& shapes, Checks& checks) {
  if (!params.image_shape.empty()) {
    double product = 1;
    for (const int64_t side : params.image_shape) product *= static_cast<double>(side);
    if (product != static_cast<double>(shapes.inputs)) {
      checks.Add("params.image_shape",
                 absl::StrCat("is [", absl::StrJoin(params.image_shape, ", "),
                              "]; its product must be the model's ", shapes.inputs, " inputs"));
    }
  }
  for (const int64_t row : params.rows) {
    if (row >= shapes.outputs) {
      checks.Add("params.rows",
                 absl::StrCat("has ", row, "; 0..", shapes.outputs - 1, " is allowed"));
      break;
    }
  }
  if (params.centre && shapes.outputs == 1) {
    checks.Add("params.centre", "is true, but the only output less the mean of all is zero");
  }
}

int64_t RowSize(const TensorInfo& inputs) {
  int64_t size = 1;
  for (size_t i = 1; i < inputs.shape.size(); ++i) size *= inputs.shape[i];
  return size;
}

// Null when there is no data.
const TensorInfo* CheckData(const Headers& headers, const LayerShapes* shapes,
                            const SpectrumParams& params, Checks& checks) {
  const ArtifactHeader* data = headers.Find("data");
  if (data == nullptr) return nullptr;
  const TensorInfo* inputs = data->Role("inputs");
  if (inputs == nullptr || inputs->shape.size() < 2) {
    checks.Add("inputs.data", "needs a tensor of role inputs, [samples, inputs]");
    return nullptr;
  }
  if (shapes != nullptr && RowSize(*inputs) != shapes->inputs) {
    checks.Add("inputs.data",
               absl::StrCat("has inputs of shape ", safetensors::ShapeText(inputs->shape),
                            "; the model reads [samples, ", shapes->inputs, "]"));
  }
  const TensorInfo* labels = data->Role("labels");
  if (labels != nullptr && labels->shape != std::vector<int64_t>{inputs->shape[0]}) {
    checks.Add("inputs.data",
               absl::StrCat("has labels of shape ", safetensors::ShapeText(labels->shape),
                            " beside inputs of shape ", safetensors::ShapeText(inputs->shape)));
  }
  if (params.space == Space::kData && inputs->shape[0] == 0) {
    checks.Add("inputs.data", "has no samples; space data needs their second moments");
  }
  for (const int64_t sample : params.samples) {
    if (sample >= inputs->shape[0]) {
      checks.Add("params.samples",
                 absl::StrCat("has ", sample, "; the data has ", inputs->shape[0], " samples"));
      break;
    }
  }
  return inputs;
}

Plan Estimate(const SpectrumParams& params, const LayerShapes& shapes, const SpectrumSizes& sizes) {
  constexpr int64_t kThreads = 4;  // matrices in work at a time
  constexpr int64_t kWorkMatrices =
      12;  // [r, r] each: Q, its scaled form, LAPACK's work, vectors, residuals
  constexpr double kFlopsPerSecond = 1e10;
  constexpr double kMemoryMax = 1e18;
  // In doubles: shapes in a header may be so large that products of two overflow an int64_t.
  const double m = shapes.hidden, d = shapes.width, n = shapes.inputs, r = sizes.rank,
               c = sizes.outputs, written = shapes.written, outputs = shapes.outputs;
  const double weights =
      2 * m * d + outputs * (written + m) + written * m + d * n + 4 * m * r + r * (n + d);
  const double work = kThreads * kWorkMatrices * r * r +
                      (params.space == Space::kData ? 4 * n * n : 0) +
                      (sizes.null_draws > 0 ? 2 * m * d + 4 * d * d : 0);
  const double results = c * (sizes.kept * (n + 3) + 4 * r + 16) + sizes.samples * (c + n / 4);
  const double bytes = 8 * (weights + work + 2 * results);  // results: as tensors and as bytes
  Plan plan;
  plan.memory_bytes = static_cast<int64_t>(std::min(bytes, kMemoryMax));
  const double cube = r * r * r;
  const double form = 2 * m * r * r;
  plan.seconds =
      (c * (form + 15 * cube) + sizes.null_draws * c * (form + 4 * cube)) / kFlopsPerSecond;
  return plan;
}

void AddOutputs(SpecOf<SpectrumParams>& spec) {
  spec.Output("eigenvalues", "[C, r]", "logit",
              "by |lambda| descending; r = min(n, d), d in space embed")
      .Output("eigenvectors_input", "[C, k, n]", "",
              "v in the raw input x: pair j adds lambda_j (v_j . x)^2 to the logit; unit vectors "
              "in space input")
      .Output("effective_rank", "[C]", "directions",
              "(sum |lambda|)^2 / sum lambda^2; NaN for a zero output")
      .Output("stable_rank", "[C]", "directions", "sum lambda^2 / max lambda^2")
      .Output("entropy_rank", "[C]", "directions", "exp of the entropy of |lambda| / sum |lambda|")
      .Output("participation", "[C]", "directions", "(sum lambda^2)^2 / sum lambda^4")
      .Output("positive_share", "[C]", "fraction", "of sum |lambda| that is positive")
      .Output("spectral_mass", "[C, r]", "fraction", "of sum |lambda| in the first 1, 2, ... r")
      .Output("pixel_count", "[C, 5]", "inputs",
              "that each of the first 5 eigenvectors effectively uses")
      .Output("null_threshold", "[C]", "logit",
              "largest |lambda| over all random rotations; with draws")
      .Output("p_values", "[C, k]", "",
              "(1 + draws whose largest |lambda| reaches it) / (1 + draws); with draws")
      .Output("linear", "[C, d]", "logit", "linear part in the embedding; with biases")
      .Output("constant", "[C]", "logit", "constant part; with biases")
      .Output("contributions_mean", "[C, k]", "logit", "mean of lambda_j (v_j . x)^2; with data")
      .Output("firing_frequency", "[C, k]", "fraction",
              "of samples with |contribution| > 0.01; with data")
      .Output("logits", "[N, C]", "logit", "of the layer with its head; with data");
  const MetricOptions lower{.better = Better::kLower, .unit = "directions"};
  const MetricOptions error{.better = Better::kLower};
  // The important ones first: a report shows them large.
  spec.Metric("effective_rank_mean", lower,
              "directions that an output effectively uses, (sum |lambda|)^2 / sum lambda^2; "
              "mean over outputs")
      .Metric("significant_mean", {.exactness = Exactness::kEstimate, .unit = "directions"},
              "eigenvalues of an output beyond those of all random rotations; mean over outputs")
      .Metric("accuracy", {.better = Better::kHigher, .unit = "fraction"},
              "samples whose largest logit is that of their label; with labels")
      .Metric("positive_share_mean", {.unit = "fraction"},
              "share of the positive eigenvalues in sum |lambda|; mean over outputs")
      .Metric("stable_rank_mean", lower, "sum lambda^2 / max lambda^2; mean over outputs")
      .Metric("entropy_rank_mean", lower,
              "exponential of the entropy of |lambda| / sum |lambda|; mean over outputs")
      .Metric("fidelity_error", error,
              "largest error of the quadratic forms, relative to the largest output")
      .Metric("residual_max", error, "largest ||Q v - lambda v|| / |lambda|_max")
      .Metric("orthogonality_max", error, "largest |V^T V - I|");
}

}  // namespace

SpectrumSizes SizesOf(const SpectrumParams& params, const LayerShapes& shapes,
                      const TensorInfo* data) {
  SpectrumSizes sizes;
  sizes.outputs = params.rows.empty() ? shapes.outputs : static_cast<int64_t>(params.rows.size());
  sizes.rank = params.space == Space::kEmbed ? shapes.width : std::min(shapes.inputs, shapes.width);
  sizes.kept = std::min(params.k, sizes.rank);
  const double width = static_cast<double>(shapes.width);
  const bool cheap = static_cast<double>(sizes.outputs) * width * width * width <= kNullWorkMax;
  sizes.null_draws = params.null_draws.value_or(cheap ? kNullDraws : 0);
  sizes.samples = data == nullptr ? 0 : data->shape[0];
  return sizes;
}

absl::StatusOr<Plan> PlanSpectrum(const SpectrumParams& params, const Headers& headers) {
  Checks checks;
  CheckParams(params, headers, checks);
  const ArtifactHeader* model = headers.Find("model");
  if (model == nullptr) {
    CheckData(headers, nullptr, params, checks);
    RETURN_IF_ERROR(checks.ToStatus());
    return Plan{};
  }
  ASSIGN_OR_RETURN(const LayerShapes shapes,
                   ReadLayerShapes(*model, headers.Find("directions"), params.Layer()));
  CheckShapes(params, shapes, checks);
  const TensorInfo* data = CheckData(headers, &shapes, params, checks);
  RETURN_IF_ERROR(checks.ToStatus());
  return Estimate(params, shapes, SizesOf(params, shapes, data));
}

SpecOf<SpectrumParams> SpectrumSpec() {
  using P = SpectrumParams;
  SpecOf<P> spec("bilinear.spectrum", 1,
                 "Which input directions drive each output of a bilinear layer, how strongly, with "
                 "which sign, "
                 "and how many of them count.");
  spec.EnumParam(
          "space", &P::space,
          {{"input", Space::kInput}, {"embed", Space::kEmbed}, {"data", Space::kData}},
          "where vectors are orthonormal: the raw input (depends on the function alone), the "
          "embedding (as "
          "published, depends on its basis), or the input weighted by the data's second moments")
      .Param("centre", &P::centre,
             "subtract the mean of all outputs from each, which softmax does not see")
      .Param("k", &P::k, {.min = 1, .max = 4096}, "eigenvectors kept per output")
      .EnumParam("solver", &P::solver, {{"full", Solver::kFull}, {"topk", Solver::kTopK}},
                 "all eigenvectors, or all eigenvalues and the top k vectors by subspace iteration")
      .Param("null_draws", &P::null_draws, {.min = 0, .max = 1000},
             "random rotations of L and R that say which eigenvalues are more than chance; null: "
             "20, or 0 when "
             "C d^3 > 1e9")
      .Param("layer", &P::layer, {.min = -1, .max = 4096}, "block, from 0; -1 is the last")
      .Param("rows", &P::rows, {.min = 0, .count_max = 65536}, "outputs to analyse; empty: all")
      .Param(
          "image_shape", &P::image_shape, {.min = 1, .max = 65536, .count_max = 3},
          "[height, width] or [channels, height, width] of an input, for pictures of eigenvectors")
      .Param("samples", &P::samples, {.min = 0, .count_max = 16}, "samples of the data to explain")
      .Param("assume_bilinear", &P::assume_bilinear,
             "take a gated MLP for bilinear, as if its gate were linear")
      .EnumParam("precision", &P::precision,
                 {{"float64", Precision::kFloat64}, {"float32", Precision::kFloat32}},
                 "of the computation; space data always takes float64")
      .Param("tensors", &P::tensors, {.count_max = 16},
             "role -> tensor name, for models under other names: left, right or fused, and "
             "left_bias, right_bias, "
             "fused_bias, proj, proj_bias, embed, head, head_bias")
      .Input("model", ArtifactKind::kModel, {}, "weights with at least one bilinear layer")
      .Input("data", ArtifactKind::kDataset, {.optional = true, .roles = {"inputs", "labels"}},
             "inputs [N, n], and labels [N] where known: adds contributions, logits and accuracy")
      .Input("directions", ArtifactKind::kDataset, {.optional = true, .roles = {"directions"}},
             "directions [C, d_out] to analyse instead of the head's rows")
      .Plan(&PlanSpectrum);
  AddOutputs(spec);
  return spec;
}

}  // namespace radiograph::bilinear
