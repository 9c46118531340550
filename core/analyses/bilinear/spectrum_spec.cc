#include "core/analyses/bilinear/spectrum_spec.h"

#include "core/catalog/spec_builder.h"

namespace radiograph::bilinear {
namespace {

void AddOutputs(SpecOf<SpectrumParams>& spec) {
  spec.Output("eigenvalues", "[C, r]", "logit",
              "by |lambda| descending; r = min(n, d), d in space embed; [C, k] with solver topk")
      .Output("eigenvectors_input", "[C, k, n]", "",
              "v in the raw input x: pair j adds lambda_j (v_j . x)^2 to the logit; unit vectors "
              "in space input")
      .Output(
          "effective_rank", "[C]", "directions",
          "(sum |lambda|)^2 / sum lambda^2; NaN for a zero output; a lower bound with solver topk")
      .Output("stable_rank", "[C]", "directions", "sum lambda^2 / max lambda^2")
      .Output("entropy_rank", "[C]", "directions",
              "exp of the entropy of |lambda| / sum |lambda|; a lower bound with solver topk")
      .Output("participation", "[C]", "directions",
              "(sum lambda^2)^2 / sum lambda^4; a lower bound with solver topk")
      .Output("positive_share", "[C]", "fraction",
              "of sum |lambda| that is positive; not with solver topk")
      .Output("spectral_mass", "[C, r]", "fraction",
              "of sum |lambda| in the first 1, 2, ... r; lower bounds [C, k] with solver topk")
      .Output("pixel_count", "[C, 5]", "inputs",
              "that each of the first 5 eigenvectors effectively uses")
      .Output("null_threshold", "[C]", "logit",
              "largest |lambda| over all random rotations; with draws")
      .Output("p_values", "[C, k]", "",
              "(1 + draws whose largest |lambda| reaches it) / (1 + draws); with draws")
      .Output("linear", "[C, d]", "logit",
              "linear part in the embedding; with biases or a residual block")
      .Output("constant", "[C]", "logit", "constant part; with biases or a residual block")
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
                 "full: all eigenvalues; topk: the k largest alone, by subspace iteration, which "
                 "bounds what "
                 "needs all of them; quicker only for wide layers whose spectra fall")
      .Param("null_draws", &P::null_draws, {.min = 0, .max = 1000},
             "random rotations of L and R that say which eigenvalues are more than chance; null: "
             "20, or 0 when "
             "C d^3 > 1e9")
      .Param("layer", &P::layer, {.min = -1, .max = 4096},
             "number of the block in the tensors' names; -1 is the last")
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
