#include "tests/support/tensors.h"

namespace radiograph::testing {

at::Tensor Vector(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

at::Tensor Matrix(std::initializer_list<std::vector<double>> rows) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(Vector(row));
  return at::stack(tensors);
}

double Distance(const at::Tensor& a, const at::Tensor& b) {
  TORCH_CHECK(a.sizes() == b.sizes(), "shapes ", a.sizes(), " and ", b.sizes());
  return a.numel() == 0 ? 0 : (a - b).abs().max().item<double>();
}

}  // namespace radiograph::testing
