#include "core/base/disk_room.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "core/base/cause.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

TEST(DiskRoom, NeedRoomAndFolderAreTold) {
  ASSERT_OK_AND_ASSIGN(const TemporaryFolder folder, TemporaryFolder::Make());
  EXPECT_OK(CheckRoom(folder.path(), 0, "nothing"));
  EXPECT_OK(CheckRoom(folder.path(), 1, "a byte"));
  constexpr int64_t kTooMuch = int64_t{1} << 62;
  const absl::Status full = CheckRoom(folder.path(), kTooMuch, "the result");
  EXPECT_THAT(full, StatusIs(absl::StatusCode::kResourceExhausted,
                             AllOf(HasSubstr(folder.path()), HasSubstr("4611686018427387904"),
                                   HasSubstr("the result"), HasSubstr("are free"))));
  EXPECT_EQ(ErrnoOf(full), ENOSPC);
}

TEST(DiskRoom, WhatCannotBeLookedAtIsLeftToFailByItself) {
  EXPECT_OK(CheckRoom("/nowhere", int64_t{1} << 62, "the result"));
  EXPECT_OK(CheckRoom("/proc", int64_t{1} << 62, "the result")) << "it has no blocks at all";
}

}  // namespace
}  // namespace radiograph
