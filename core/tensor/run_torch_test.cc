#include "core/tensor/run_torch.h"

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

TEST(RunTorch, SwitchesAutogradOff) {
  EXPECT_OK(RunTorch(
      [] { return c10::GradMode::is_enabled() ? absl::InternalError("on") : absl::OkStatus(); }));
  EXPECT_TRUE(c10::GradMode::is_enabled());
}

TEST(RunTorch, PassesTheBodysStatusOn) {
  EXPECT_THAT(RunTorch([] { return absl::NotFoundError("no such class"); }),
              StatusIs(absl::StatusCode::kNotFound, "no such class"));
}

TEST(RunTorch, NaNInADecompositionIsTheInputsFault) {
  const absl::Status status = RunTorch([] {
    at::linalg_eigh(at::full({3, 3}, std::nan(""), at::kDouble));
    return absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("linalg.eigh")));
}

TEST(RunTorch, HostOutOfMemoryIsResourceExhausted) {
  const absl::Status status = RunTorch([] {
    at::empty({int64_t{1} << 55}, at::kDouble);
    return absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("out of memory")));
}

TEST(RunTorch, OtherErrorsAreOurBugs) {
  const absl::Status status = RunTorch([] {
    at::matmul(at::zeros({2, 3}), at::zeros({2, 3}));
    return absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal, HasSubstr("LibTorch")));
}

}  // namespace
}  // namespace radiograph
