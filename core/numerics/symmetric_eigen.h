// Eigendecomposition of batches of symmetric matrices, checked, ordered and signed.
//
// Each matrix is symmetrised, divided by its largest |entry| (so that weights of tiny or huge scale
// neither under- nor overflow), decomposed, and its pairs are ordered by |lambda|, the largest
// first; of equals the larger signed value comes first. The residual of every pair is measured; a
// decomposition that fails or is inexact is tried again in float64 on its device, then on the CPU.
#ifndef RADIOGRAPH_CORE_NUMERICS_SYMMETRIC_EIGEN_H_
#define RADIOGRAPH_CORE_NUMERICS_SYMMETRIC_EIGEN_H_

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "core/numerics/random.h"

namespace radiograph {

struct SymmetricEigen {
  at::Tensor values;        // [B, d], |lambda| descending
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

// The same by way of eigenvalues alone and, for the vectors, subspace iteration X <- orth(Q (Q X))
// on min(k
// + 16, d) columns, with Rayleigh-Ritz after each round; powers of Q^2 give both signs at once. A
// batch that doesn't converge in 30 rounds (a flat spectrum) is decomposed in full. Faster than
// EigenDecompose when k is much smaller than d. The start is drawn from `start`.
absl::StatusOr<SymmetricEigen> TopEigen(const at::Tensor& matrices, int64_t k, RandomStream start);

// All d eigenvalues, ordered as above. O(B d^3), a fraction of EigenDecompose's time.
at::Tensor Eigenvalues(const at::Tensor& matrices);

// Vectors [..., d, k] times the sign that makes the entry of largest magnitude of each column
// positive. Entries that differ by rounding only (1e-6) count as equal: the first of them decides.
at::Tensor FixSigns(const at::Tensor& vectors);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_NUMERICS_SYMMETRIC_EIGEN_H_
