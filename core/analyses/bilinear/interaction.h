// One bilinear layer as tensors, and its outputs as quadratic forms.
//
// g(z) = P((L z + b) * (R z + c)) + b_P with z = E x, logits = U g(z) + b_U. With A = U P, output c
// is exactly
//   z^T Q_c z + linear_c . z + constant_c,
//   Q_c = sym(sum_h A[c, h] l_h r_h^T),  linear_c = sum_h A[c, h] (c_h l_h + b_h r_h),
//   constant_c = sum_h A[c, h] b_h c_h + U b_P + b_U.
// A residual block writes z + g(z): then linear_c has u_c, too.
// Source: Pearce et al. 2024 (arXiv 2410.08417), section 3; the bias terms follow from z' = [z; 1].
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_INTERACTION_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_INTERACTION_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/status/statusor.h"
#include "core/analyses/analysis.h"
#include "core/analyses/bilinear/layer_shapes.h"

namespace radiograph::bilinear {

// Of one dtype on one device. Tensors that the model lacks are undefined.
struct BilinearLayer {
  at::Tensor left, right;            // L, R [m, d]
  at::Tensor left_bias, right_bias;  // b, c [m]: zeros when the model has only one of them
  at::Tensor embed;                  // E [d, n]
  at::Tensor directions;             // A = U P [C, m]
  at::Tensor constant;               // U b_P + b_U [C]
  at::Tensor skip;                   // U [C, d] of a residual block

  bool has_biases() const { return left_bias.defined(); }
  bool has_linear_part() const { return has_biases() || skip.defined(); }
};

struct ReadOptions {
  at::ScalarType dtype = at::kDouble;
  at::Device device = at::kCPU;
  bool centre =
      false;  // subtract the mean of all outputs from each: the mean of Q_c is the Q of mean U
  std::vector<int64_t> rows;  // outputs to keep; empty: all
};

// `directions` replaces the head when not null. INVALID_ARGUMENT naming tensor and flat index for
// NaN and infinities.
absl::StatusOr<BilinearLayer> ReadLayer(const Artifact& model, const Artifact* directions,
                                        const LayerShapes& shapes, const ReadOptions& options);

// Q [C, r, r] of directions A [C, m] for L, R [m, r]. O(C m r^2).
at::Tensor Interaction(const at::Tensor& directions, const at::Tensor& left,
                       const at::Tensor& right);
// Without forming Q. Q X = (L^T (A o (R X)) + R^T (A o (L X))) / 2 [C, r, p] of X [C or 1, r, p]:
// O(C m r p), less work than with Q where m < r / 2.
at::Tensor InteractionTimes(const at::Tensor& directions, const at::Tensor& left,
                            const at::Tensor& right, const at::Tensor& x);
// ||Q||_F^2 = A N A^T, N = ((L L^T) o (R R^T) + (L R^T) o (L R^T)^T) / 2: [C].
at::Tensor InteractionSquares(const at::Tensor& directions, const at::Tensor& left,
                              const at::Tensor& right);

at::Tensor LinearPart(const BilinearLayer& layer);    // [C, d], in z
at::Tensor ConstantPart(const BilinearLayer& layer);  // [C]

// z = E x [N, d] of inputs x [N, n].
at::Tensor Embed(const BilinearLayer& layer, const at::Tensor& x);
// The layer run forward, without Q: logits [N, C] of inputs x [N, n].
at::Tensor Outputs(const BilinearLayer& layer, const at::Tensor& x);

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_INTERACTION_H_
