// Eigendecomposition of batches of symmetric matrices, checked, ordered and signed.
//
// Each matrix is symmetrised, divided by its largest |entry| (so that weights of tiny or huge scale
// neither under- nor overflow), decomposed, and its pairs are ordered by |lambda|, the largest
// first; of equals the larger signed value comes first. The residual of every pair is measured; a
// decomposition that fails or is inexact is tried again in float64 on its device, then on the CPU.
#ifndef RADIOGRAPH_CORE_NUMERICS_SYMMETRIC_EIGEN_H_
#define RADIOGRAPH_CORE_NUMERICS_SYMMETRIC_EIGEN_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/numerics/random.h"

namespace radiograph {

struct SymmetricEigen {
  at::Tensor values;        // [B, d], or [B, k] of TopEigen; |lambda| descending
  at::Tensor vectors;       // [B, d, k], unit columns; signs as LAPACK leaves them, see FixSigns
  double residual_max = 0;  // over batch and pairs of ||Q v - lambda v||_2 / |lambda|_max
  double orthogonality_max = 0;  // max |V^T V - I|
};

// The largest residual that passes: 1e-5 in float32, 1e-10 in float64.
double ResidualTolerance(at::ScalarType dtype);

// All d eigenvalues of `matrices` [B, d, d], and the vectors of the top k (k <= d), which are those
// that are checked. A zero matrix has lambda = 0 and V = I. FAILED_PRECONDITION when no attempt
// reached the tolerance. Numbers must be finite. On the CPU with the threads of the caller: callers
// with many matrices use ParallelFor. O(B d^3).
absl::StatusOr<SymmetricEigen> EigenDecompose(const at::Tensor& matrices, int64_t k);

// Q X [B, d, p] of X [B, d, p] for a batch of symmetric matrices Q, which need not be formed.
using SymmetricProduct = absl::FunctionRef<at::Tensor(const at::Tensor&)>;

struct TopEigenOptions {
  int64_t batch = 1, size = 1;    // B, d
  int64_t k = 1;                  // at most d
  at::TensorOptions tensor = {};  // of the matrices
  RandomStream start = {};
};

// The top k pairs alone, by products: subspace iteration X <- orth(Q (Q X)) on a few more than k
// columns with Rayleigh-Ritz every few rounds; powers of Q^2 give both signs at once. The residual
// is that of EigenDecompose. Nothing when 30 rounds don't reach the tolerance, or plainly won't (a
// flat spectrum): decompose in full then. O(B d^2 k) a round where a product is a matrix product.
// Source: Halko, Martinsson, Tropp 2011 (arXiv 0909.4061), algorithm 4.4.
std::optional<SymmetricEigen> TopEigen(SymmetricProduct product, const TopEigenOptions& options);

// All d eigenvalues, ordered as above. O(B d^3), a fraction of EigenDecompose's time.
at::Tensor Eigenvalues(const at::Tensor& matrices);

// Vectors [..., d, k] times the sign that makes the entry of largest magnitude of each column
// positive. Entries that differ by rounding only (1e-6) count as equal: the first of them decides.
at::Tensor FixSigns(const at::Tensor& vectors);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_NUMERICS_SYMMETRIC_EIGEN_H_
