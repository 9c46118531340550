// Why a layer gives one sample the logits it gives: contributions of eigenvectors, which add up to
// the logit.
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_EXPLAIN_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_EXPLAIN_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/status/statusor.h"
#include "core/analyses/bilinear/coordinates.h"
#include "core/analyses/bilinear/interaction.h"
#include "core/analyses/bilinear/spectrum.h"

namespace radiograph::bilinear {

inline constexpr int64_t kExplainedOutputs = 3;  // of each sample: those with the largest logits

// One output for one sample: logit = sum of contributions + linear + constant. Contributions have
// the sign of their eigenvalue: an input that overlaps with only the positive or only the negative
// vectors gives a large output, with both it cancels.
struct Explanation {
  int64_t sample = 0;  // place in `x`
  int64_t output = 0;  // place among the layer's outputs
  double logit = 0, linear = 0, constant = 0;
  at::Tensor eigenvalues;    // [r], |lambda| descending
  at::Tensor contributions;  // lambda_j (v_j . x)^2 [r]
  at::Tensor positive;       // v of the largest contribution [n]; undefined when none is positive
  at::Tensor negative;       // v of the smallest, likewise
};

// The outputs with the largest logits (of equals the first) of each row of x [S, n], on the layer's
// device and dtype. INTERNAL when contributions don't add up to the logit.
absl::StatusOr<std::vector<Explanation>> Explain(const BilinearLayer& layer,
                                                 const Coordinates& coordinates,
                                                 const at::Tensor& x, Report report);

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_EXPLAIN_H_
