#include "core/base/cause.h"

#include <cerrno>

#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

TEST(Cause, ErrnoIsKnownOfWhatTheKernelRefused) {
  const absl::Status missing = OpenFile("/nowhere/at/all", 0).status();
  EXPECT_EQ(ErrnoOf(missing), ENOENT);
  EXPECT_EQ(ErrnoOf(absl::NotFoundError("no such class")), 0);
  EXPECT_EQ(ErrnoOf(absl::OkStatus()), 0);
}

TEST(Cause, OutOfMemoryTellsWhatIsNeededAndWhatThereIs) {
  const absl::Status status =
      OutOfMemoryError("out of memory", {.needed_bytes = 300, .available_bytes = 200});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, "out of memory"));
  ASSERT_TRUE(MemoryNeedOf(status).has_value());
  EXPECT_EQ(MemoryNeedOf(status)->needed_bytes, 300);
  EXPECT_EQ(MemoryNeedOf(status)->available_bytes, 200);
}

TEST(Cause, OtherLimitsAreNotMemory) {
  EXPECT_FALSE(MemoryNeedOf(absl::ResourceExhaustedError("64 streams are open")).has_value());
  EXPECT_FALSE(MemoryNeedOf(ErrnoStatus(ENOSPC, "can't write", "/disk")).has_value());
  EXPECT_TRUE(MemoryNeedOf(ErrnoStatus(ENOMEM, "can't map", "/disk")).has_value());
}

}  // namespace
}  // namespace radiograph
