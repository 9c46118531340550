#include "tests/support/test_device.h"

#include "core/tensor/run_torch.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"

namespace radiograph::testing {
namespace {

using ::testing::HasSubstr;

TEST(TestDevice, ComputesWhatTheCpuComputes) {
  const at::Tensor a = Matrix({{4, 1, 0}, {1, 3, 2}, {0, 2, 1}});
  const at::Tensor there = a.to(TestDevice());
  EXPECT_EQ(there.device().type(), at::kPrivateUse1);
  EXPECT_EQ(Distance(at::matmul(there, there).cpu(), at::matmul(a, a)), 0);
  EXPECT_EQ(Distance(std::get<0>(at::linalg_eigh(there)).cpu(), std::get<0>(at::linalg_eigh(a))),
            0);
  EXPECT_EQ(there.t().narrow(0, 1, 2).reshape(-1)[1].item<double>(), 3);
  at::Tensor sum = at::zeros({3}, there.options());
  sum += there.sum(0);
  EXPECT_EQ(Distance(sum.to(at::kFloat).cpu(), at::tensor({5, 6, 3}, at::kFloat)), 0);
}

TEST(TestDevice, RefusesTensorsOfTheCpuButScalars) {
  const at::Tensor there = at::ones({2}, at::TensorOptions(TestDevice()).dtype(at::kDouble));
  const absl::Status mixed = RunTorch([&] {
    there.index_select(0, at::zeros({1}, at::kLong));
    return absl::OkStatus();
  });
  EXPECT_THAT(mixed, StatusIs(absl::StatusCode::kInternal, HasSubstr("mixes devices")));
  EXPECT_EQ((there + at::scalar_tensor(2, at::kDouble)).sum().item<double>(), 6);
}

}  // namespace
}  // namespace radiograph::testing
