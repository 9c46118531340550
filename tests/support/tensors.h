// Tensors for tests, float64 on the CPU.
#ifndef RADIOGRAPH_TESTS_SUPPORT_TENSORS_H_
#define RADIOGRAPH_TESTS_SUPPORT_TENSORS_H_

#include <ATen/ATen.h>

#include <initializer_list>
#include <vector>

namespace radiograph::testing {

inline at::Tensor Vector(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble);
}

inline at::Tensor Matrix(std::initializer_list<std::vector<double>> rows) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(Vector(row));
  return at::stack(tensors);
}

// Largest |difference| of two tensors of one shape.
inline double Distance(const at::Tensor& a, const at::Tensor& b) {
  TORCH_CHECK(a.sizes() == b.sizes(), "shapes ", a.sizes(), " and ", b.sizes());
  return a.numel() == 0 ? 0 : (a - b).abs().max().item<double>();
}

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_TESTS_SUPPORT_TENSORS_H_
