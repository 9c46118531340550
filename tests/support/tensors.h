// Tensors for tests, float64 on the CPU.
#ifndef RADIOGRAPH_TESTS_SUPPORT_TENSORS_H_
#define RADIOGRAPH_TESTS_SUPPORT_TENSORS_H_

#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <vector>

namespace radiograph::testing {

at::Tensor Vector(const std::vector<double>& values);
at::Tensor Matrix(std::initializer_list<std::vector<double>> rows);

// Largest |difference| of two tensors of one shape.
double Distance(const at::Tensor& a, const at::Tensor& b);

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_TESTS_SUPPORT_TENSORS_H_
