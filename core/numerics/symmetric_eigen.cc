#include "core/numerics/symmetric_eigen.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace radiograph {
namespace {

constexpr int64_t kExtraColumns = 16;
constexpr int kRoundsMax = 30;
constexpr double kSignTie = 1e-6;

struct Scaled {
  at::Tensor matrices;  // symmetric, largest |entry| 1, or 0
  at::Tensor scale;     // [B, 1]
};

Scaled Scale(const at::Tensor& matrices) {
  at::Tensor doubled = matrices + matrices.mT();
  const at::Tensor largest = doubled.abs().amax({-2, -1}).unsqueeze(-1);
  doubled.div_(at::where(largest == 0, at::ones_like(largest), largest).unsqueeze(-1));
  return {doubled, largest / 2};
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

// Largest residual of the pairs, relative to |lambda|_max of each matrix (absolute for a zero
// matrix).
double Residual(const at::Tensor& matrices, const at::Tensor& values, const at::Tensor& vectors) {
  const at::Tensor k_values = values.narrow(-1, 0, vectors.size(-1));
  const at::Tensor residual =
      (at::matmul(matrices, vectors) - vectors * k_values.unsqueeze(-2)).square().sum(-2).sqrt();
  const at::Tensor largest = values.abs().amax(-1, /*keepdim=*/true);
  return MaxOrZero(residual / at::where(largest == 0, at::ones_like(largest), largest));
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
  eigen.residual_max = Residual(matrices, eigen.values, eigen.vectors);
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

void Unscale(const Scaled& scaled, SymmetricEigen& eigen) {
  eigen.values = eigen.values * scaled.scale;
  const at::Tensor zero = (scaled.scale == 0).unsqueeze(-1);  // LAPACK permutes a zero matrix's V
  const at::Tensor identity = at::eye(eigen.vectors.size(-2), eigen.vectors.options())
                                  .narrow(-1, 0, eigen.vectors.size(-1));
  eigen.vectors = at::where(zero, identity, eigen.vectors);
}

// One step of Rayleigh-Ritz in the span of orthonormal X [B, d, p]: the top k pairs.
SymmetricEigen RayleighRitz(const at::Tensor& matrices, const at::Tensor& x, int64_t k) {
  const at::Tensor small = at::matmul(x.mT(), at::matmul(matrices, x));
  const auto [ascending, columns] = at::linalg_eigh((small + small.mT()) / 2);
  const at::Tensor order = Order(ascending).narrow(-1, 0, k);
  SymmetricEigen eigen{.values = ascending.gather(-1, order),
                       .vectors = at::matmul(x, Columns(columns, order))};
  eigen.residual_max = Residual(matrices, eigen.values, eigen.vectors);
  eigen.orthogonality_max = Orthogonality(eigen.vectors);
  return eigen;
}

}  // namespace

double ResidualTolerance(at::ScalarType dtype) { return dtype == at::kDouble ? 1e-10 : 1e-5; }

absl::StatusOr<SymmetricEigen> EigenDecompose(const at::Tensor& matrices, int64_t k) {
  const Scaled scaled = Scale(matrices);
  absl::StatusOr<SymmetricEigen> eigen = DecomposeExactly(scaled.matrices, k);
  if (eigen.ok()) Unscale(scaled, *eigen);
  return eigen;
}

absl::StatusOr<SymmetricEigen> TopEigen(const at::Tensor& matrices, int64_t k, RandomStream start) {
  const int64_t size = matrices.size(-1);
  const int64_t columns = std::min(k + kExtraColumns, size);
  k = std::min(k, size);
  const Scaled scaled = Scale(matrices);
  const double tolerance = ResidualTolerance(matrices.scalar_type());
  at::Tensor x = RandomNormal(start, {size, columns})
                     .to(matrices.options())
                     .expand({matrices.size(0), -1, -1});
  x = std::get<0>(at::linalg_qr(x));
  for (int round = 0; round < kRoundsMax; ++round) {
    x = std::get<0>(at::linalg_qr(at::matmul(scaled.matrices, at::matmul(scaled.matrices, x))));
    SymmetricEigen eigen = RayleighRitz(scaled.matrices, x, k);
    if (!Exact(eigen, tolerance)) continue;
    eigen.values = Eigenvalues(scaled.matrices);
    Unscale(scaled, eigen);
    return eigen;
  }
  return EigenDecompose(matrices, k);
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
