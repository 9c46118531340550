// What tests of bilinear.spectrum share: small models, and ways to run it.
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_TESTING_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_TESTING_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "core/analyses/analysis.h"
#include "tests/support/artifacts.h"

namespace radiograph::bilinear {

using Tensors = std::map<std::string, at::Tensor>;

inline constexpr absl::string_view kNoDraws = R"({"null_draws": 0})";

absl::StatusOr<Result> XRay(const Tensors& model, absl::string_view params = kNoDraws,
                            radiograph::testing::RunOptions options = {});
absl::StatusOr<Result> XRayWithData(const Tensors& model, const Tensors& data,
                                    absl::string_view params = kNoDraws,
                                    radiograph::testing::RunOptions options = {});

at::Tensor Normal(uint64_t stream, at::IntArrayRef shape);

// Hand case H1 of the method, with its projection as head: logits U (L z * R z).
Tensors H1();
// d = 8, m = 6, n = 12, C = 3.
Tensors RandomModel();

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_TESTING_H_
