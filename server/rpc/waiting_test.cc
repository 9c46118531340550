#include "server/rpc/waiting.h"

#include <gtest/gtest.h>

namespace radiograph {
namespace {

TEST(WaitLimit, IsTheTimeoutOrWhatTheDeadlineLeaves) {
  const absl::Duration most = absl::Hours(24);
  v1::WaitJobRequest request;
  EXPECT_EQ(WaitLimit(request, absl::InfiniteDuration(), most), most);
  EXPECT_EQ(WaitLimit(request, absl::Seconds(10), most), absl::Milliseconds(9800));
  request.mutable_timeout()->set_seconds(3);
  EXPECT_EQ(WaitLimit(request, absl::Seconds(10), most), absl::Seconds(3));
  EXPECT_EQ(WaitLimit(request, absl::Seconds(1), most), absl::Milliseconds(800));
  EXPECT_EQ(WaitLimit(request, absl::Milliseconds(1), most), absl::ZeroDuration());
  request.mutable_timeout()->set_seconds(-5);
  EXPECT_EQ(WaitLimit(request, absl::Seconds(10), most), absl::ZeroDuration());
}

}  // namespace
}  // namespace radiograph
