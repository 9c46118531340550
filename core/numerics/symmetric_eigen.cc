#include "core/numerics/symmetric_eigen.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr int kRoundsMax = 30;
constexpr int kRoundsPerCheck = 3;
constexpr double kSignTie = 1e-6;

struct Scaled {
  at::Tensor matrices;  // symmetric, largest |entry| 1, or 0
  at::Tensor scale;     // [B, 1]
};

at::Tensor OneIfZero(const at::Tensor& tensor) { return tensor + (tensor == 0); }

// [B, 1, 1]
at::Tensor LargestEntries(const at::Tensor& matrices) {
  return at::linalg_vector_norm(matrices, INFINITY, {-2, -1}, /*keepdim=*/true);
}

// With a largest |entry| of 1, or 0: no power of it over- or underflows.
at::Tensor Normalised(const at::Tensor& matrices) {
  return matrices / OneIfZero(LargestEntries(matrices));
}

Scaled Scale(const at::Tensor& matrices) {
  at::Tensor doubled = matrices + matrices.mT();
  const at::Tensor largest = LargestEntries(doubled);
  doubled.div_(OneIfZero(largest));
  return {doubled, largest.squeeze(-1) / 2};
}

// Indices [B, d] that sort values by |lambda| descending, equals by signed value descending.
at::Tensor Order(const at::Tensor& values) {
  const auto [signed_values, by_sign] = at::sort(values, /*stable=*/true, -1, /*descending=*/true);
  const auto by_size =
      std::get<1>(at::sort(signed_values.abs(), /*stable=*/true, -1, /*descending=*/true));
  return by_sign.gather(-1, by_size);
}

at::Tensor Columns(const at::Tensor& vectors, const at::Tensor& order) {
  return vectors.gather(-1, order.unsqueeze(-2).expand({-1, vectors.size(-2), -1}));
}

double MaxOrZero(const at::Tensor& tensor) {
  return tensor.numel() == 0 ? 0.0 : tensor.max().item<double>();
}

// Largest residual of pairs whose vectors Q takes to `products`, relative to |lambda|_max of each
// matrix (absolute for a zero matrix). The first value is the largest.
double Residual(const at::Tensor& products, const at::Tensor& values, const at::Tensor& vectors) {
  const at::Tensor off = products - vectors * values.narrow(-1, 0, vectors.size(-1)).unsqueeze(-2);
  const at::Tensor largest = OneIfZero(values.narrow(-1, 0, 1).abs());
  return MaxOrZero((off / largest.unsqueeze(-1)).norm(2, -2));  // squares of off may overflow
}

double Orthogonality(const at::Tensor& vectors) {
  const at::Tensor gram = at::matmul(vectors.mT(), vectors);
  return MaxOrZero((gram - at::eye(gram.size(-1), gram.options())).abs());
}

SymmetricEigen Decompose(const at::Tensor& matrices, int64_t k) {
  const auto [ascending, columns] = at::linalg_eigh(matrices);
  const at::Tensor order = Order(ascending);
  SymmetricEigen eigen{.values = ascending.gather(-1, order),
                       .vectors = Columns(columns, order.narrow(-1, 0, k))};
  eigen.residual_max = Residual(at::matmul(matrices, eigen.vectors), eigen.values, eigen.vectors);
  eigen.orthogonality_max = Orthogonality(eigen.vectors);
  return eigen;
}

bool Exact(const SymmetricEigen& eigen, double tolerance) {
  return eigen.residual_max <= tolerance && eigen.orthogonality_max <= tolerance;  // false for NaN
}

// The ladder: as given, in float64, in float64 on the CPU.
absl::StatusOr<SymmetricEigen> DecomposeExactly(const at::Tensor& matrices, int64_t k) {
  const double tolerance = ResidualTolerance(matrices.scalar_type());
  const at::TensorOptions attempts[] = {matrices.options(), matrices.options().dtype(at::kDouble),
                                        at::dtype(at::kDouble)};
  double residual = std::nan("");
  for (const at::TensorOptions& options : attempts) {
    try {
      SymmetricEigen eigen = Decompose(matrices.to(options), k);
      residual = std::max(eigen.residual_max, eigen.orthogonality_max);
      if (!Exact(eigen, tolerance)) continue;
      eigen.values = eigen.values.to(matrices.options());
      eigen.vectors = eigen.vectors.to(matrices.options());
      return eigen;
    } catch (const c10::LinAlgError&) {  // no convergence: the next attempt
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat("no eigendecomposition of a matrix of size ", matrices.size(-1),
                   " was exact: residual ", residual, "; at most ", tolerance, " is allowed"));
}

// Of a batch of subspaces: orthonormal X [B, d, p] and Q X.
struct Subspace {
  at::Tensor x, product;
};

// Columns of X, whose span they keep. Cholesky twice is products only, and as good as QR while X is
// far from singular; QR does the rest. Source: Yamamoto et al. 2015, "Roundoff error analysis of
// the CholeskyQR2 algorithm" (ETNA 44).
at::Tensor Orthonormalise(const at::Tensor& x) {
  at::Tensor q = Normalised(x);
  q = q / OneIfZero(q.norm(2, -2, /*keepdim=*/true));
  for (int pass = 0; pass < 2; ++pass) {
    const auto [factor, failed] = at::linalg_cholesky_ex(at::matmul(q.mT(), q));
    if (failed.any().item<bool>()) return std::get<0>(at::linalg_qr(Normalised(x)));
    q = at::linalg_solve_triangular(factor.mT(), q, /*upper=*/true, /*left=*/false);
  }
  return q;
}

// Turns the basis of the subspace into its Ritz vectors, the largest |value| first: the top k
// pairs.
SymmetricEigen RayleighRitz(Subspace& subspace, int64_t k) {
  const at::Tensor small = at::matmul(subspace.x.mT(), subspace.product);
  const auto [ascending, columns] = at::linalg_eigh((small + small.mT()) / 2);
  const at::Tensor order = Order(ascending);
  const at::Tensor turn = Columns(columns, order);
  subspace = {at::matmul(subspace.x, turn), at::matmul(subspace.product, turn)};
  SymmetricEigen eigen{.values = ascending.gather(-1, order.narrow(-1, 0, k)),
                       .vectors = subspace.x.narrow(-1, 0, k)};
  eigen.residual_max = Residual(subspace.product.narrow(-1, 0, k), eigen.values, eigen.vectors);
  eigen.orthogonality_max = Orthogonality(eigen.vectors);
  return eigen;
}

// LAPACK and iteration give a zero matrix any orthonormal vectors; ours are the unit vectors.
void FixZeros(const at::Tensor& zero, SymmetricEigen& eigen) {
  const at::Tensor identity = at::eye(eigen.vectors.size(-2), eigen.vectors.options())
                                  .narrow(-1, 0, eigen.vectors.size(-1));
  eigen.vectors = at::where(zero, identity, eigen.vectors);
}

// More columns converge faster and cost more; 32 keep the small decompositions fast in batches.
int64_t SubspaceColumns(int64_t k, int64_t size) {
  return std::min(std::max(std::min<int64_t>(k + 16, 32), k + 8), size);
}

}  // namespace

double ResidualTolerance(at::ScalarType dtype) { return dtype == at::kDouble ? 1e-10 : 1e-5; }

absl::StatusOr<SymmetricEigen> EigenDecompose(const at::Tensor& matrices, int64_t k) {
  const Scaled scaled = Scale(matrices);
  ASSIGN_OR_RETURN(SymmetricEigen eigen, DecomposeExactly(scaled.matrices, k));
  eigen.values = eigen.values * scaled.scale;
  FixZeros((scaled.scale == 0).unsqueeze(-1), eigen);
  return eigen;
}

std::optional<SymmetricEigen> TopEigen(SymmetricProduct product, const TopEigenOptions& options) {
  const int64_t k = std::min(options.k, options.size);
  const double tolerance = ResidualTolerance(options.tensor.dtype().toScalarType());
  const at::Tensor start =
      RandomNormal(options.start, {options.size, SubspaceColumns(k, options.size)})
          .to(options.tensor)
          .expand({options.batch, -1, -1});
  Subspace subspace{.x = Orthonormalise(start), .product = {}};
  subspace.product = product(subspace.x);
  const at::Tensor zero = LargestEntries(subspace.product) == 0;
  double before = INFINITY;
  for (int round = 1; round <= kRoundsMax; ++round) {
    subspace.x = Orthonormalise(product(Normalised(subspace.product)));
    subspace.product = product(subspace.x);
    if (round % kRoundsPerCheck != 0) continue;
    SymmetricEigen eigen = RayleighRitz(subspace, k);
    if (Exact(eigen, tolerance)) {
      FixZeros(zero, eigen);
      return eigen;
    }
    // The residual falls by a factor a round that only grows: what it was so far is the best to
    // hope for.
    const double checks_left = static_cast<double>(kRoundsMax - round) / kRoundsPerCheck;
    const double fall = eigen.residual_max / before;
    if (eigen.residual_max * std::pow(fall, checks_left) > tolerance) return std::nullopt;
    before = eigen.residual_max;
  }
  return std::nullopt;
}

at::Tensor Eigenvalues(const at::Tensor& matrices) {
  const Scaled scaled = Scale(matrices);
  const at::Tensor ascending = at::linalg_eigvalsh(scaled.matrices);
  return ascending.gather(-1, Order(ascending)) * scaled.scale;
}

at::Tensor FixSigns(const at::Tensor& vectors) {
  const at::Tensor sizes = vectors.abs();
  const at::Tensor near_largest = sizes >= sizes.amax(-2, /*keepdim=*/true) * (1 - kSignTie);
  const at::Tensor deciding =
      near_largest.to(at::kByte).argmax(-2, /*keepdim=*/true);  // the first of them
  const at::Tensor negative = vectors.gather(-2, deciding) < 0;
  return at::where(negative, -vectors, vectors);
}

}  // namespace radiograph
