#include "core/analyses/bilinear/spectrum_testing.h"

#include "core/numerics/random.h"
#include "tests/support/tensors.h"

namespace radiograph::bilinear {

using ::radiograph::testing::ArtifactOf;
using ::radiograph::testing::Matrix;
using ::radiograph::testing::RunAnalysis;
using ::radiograph::testing::RunOptions;

absl::StatusOr<Result> XRay(const Tensors& model, absl::string_view params, RunOptions options) {
  return RunAnalysis("bilinear.spectrum", params, {{"model", ArtifactOf(model)}}, options);
}

absl::StatusOr<Result> XRayWithData(const Tensors& model, const Tensors& data,
                                    absl::string_view params, RunOptions options) {
  return RunAnalysis("bilinear.spectrum", params,
                     {{"model", ArtifactOf(model)}, {"data", ArtifactOf(data)}}, options);
}

at::Tensor Normal(uint64_t stream, at::IntArrayRef shape) {
  return RandomNormal({.seed = 21, .stream = stream}, shape);
}

Tensors H1() {
  return {{"blocks.0.w_l", Matrix({{1, 2}, {0, 1}, {1, -1}})},
          {"blocks.0.w_r", Matrix({{0, 1}, {1, 1}, {2, 0}})},
          {"head.weight", Matrix({{1, 0, 0}, {1, -1, 2}})}};
}

Tensors RandomModel() {
  return {{"embed.weight", Normal(1, {8, 12})},
          {"blocks.0.w_l", Normal(2, {6, 8})},
          {"blocks.0.w_r", Normal(3, {6, 8})},
          {"head.weight", Normal(4, {3, 6})}};
}

}  // namespace radiograph::bilinear
