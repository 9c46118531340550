#include "core/tensor/run_torch.h"

#include <unistd.h>

#include <string>

#include "core/base/cause.h"
#include "core/base/host_memory.h"
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

#ifndef __SANITIZE_ADDRESS__  // which ends a process that asks for more memory than there is

TEST(RunTorch, HostOutOfMemoryIsResourceExhausted) {
  const absl::Status status = RunTorch([] {
    at::empty({int64_t{1} << 55}, at::kDouble);
    return absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               HasSubstr("288230376151711744 bytes were asked for at once")));
  ASSERT_TRUE(MemoryNeedOf(status).has_value());
  EXPECT_GT(MemoryNeedOf(status)->needed_bytes, int64_t{1} << 58);
  EXPECT_EQ(MemoryNeedOf(status)->available_bytes, HostMemoryOf(getpid()).limit_bytes);
}

TEST(RunTorch, SoIsWhatTheCLibraryCanNotGive) {
  const absl::Status status = RunTorch([] {
    std::string text(size_t{1} << 46, 'x');
    return text.empty() ? absl::InternalError("no text") : absl::OkStatus();
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("out of memory")));
  EXPECT_GT(MemoryNeedOf(status).value().available_bytes, 0);
}

#endif

TEST(RunTorch, DeviceOutOfMemoryTellsTheDevicesNumbers) {
  const absl::Status status = OutOfMemoryFromText(
      "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 24.00 GiB of "
      "which 1.50 GiB is free. Including non-PyTorch memory, this process has 22.50 GiB memory in "
      "use. Of the allocated memory 20.00 GiB is allocated by PyTorch.");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               HasSubstr("CUDA out of memory. Tried to allocate 2.50 GiB")));
  EXPECT_EQ(MemoryNeedOf(status).value().needed_bytes, int64_t{25} << 30);
  EXPECT_EQ(MemoryNeedOf(status).value().available_bytes, int64_t{24} << 30);
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
