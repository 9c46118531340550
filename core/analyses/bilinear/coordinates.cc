#include "core/analyses/bilinear/coordinates.h"

#include <tuple>

namespace radiograph::bilinear {
namespace {

constexpr double kRidge = 1e-9;  // of the mean eigenvalue of S: S^-1/2 exists

}  // namespace

at::Tensor Coordinates::Fold(const at::Tensor& side) const {
  return fold.defined() ? at::matmul(side, fold.t()) : side;
}

at::Tensor Coordinates::Pictures(const at::Tensor& columns) const {
  return pictures.defined() ? at::matmul(columns.mT(), pictures.t()) : columns.mT();
}

at::Tensor Coordinates::Project(const at::Tensor& x) const {
  return pictures.defined() ? at::matmul(x, pictures) : x;
}

Coordinates EmbedCoordinates(const BilinearLayer& layer) {
  if (!layer.embed.defined()) return {};
  return {.fold = {}, .pictures = layer.embed.t()};
}

Coordinates InputCoordinates(const BilinearLayer& layer) {
  if (!layer.embed.defined()) return {};
  const auto [basis, triangle] = at::linalg_qr(layer.embed.t());
  return {.fold = triangle, .pictures = basis};
}

Coordinates DataCoordinates(const BilinearLayer& layer, const at::Tensor& second_moment) {
  const int64_t n = second_moment.size(0);
  const double trace = second_moment.trace().item<double>();
  const double ridge = kRidge * (trace > 0 ? trace / n : 1);  // data may be all zero
  const auto [values, vectors] = at::linalg_eigh(second_moment);
  const at::Tensor roots = (values.clamp_min(0) + ridge).sqrt();
  const at::Tensor root = at::matmul(vectors * roots, vectors.t());
  const at::Tensor inverse = at::matmul(vectors / roots, vectors.t());
  if (!layer.embed.defined()) return {.fold = root, .pictures = inverse};
  const auto [basis, triangle] = at::linalg_qr(at::matmul(root, layer.embed.t()));
  return {.fold = triangle, .pictures = at::matmul(inverse, basis)};
}

}  // namespace radiograph::bilinear
