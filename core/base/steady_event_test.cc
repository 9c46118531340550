#include "core/base/steady_event.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/clock.h"

namespace radiograph {
namespace {

TEST(SteadyEvent, StaysSetUntilItIsCleared) {
  SteadyEvent event;
  EXPECT_FALSE(event.Wait(absl::ZeroDuration()));
  event.Set();
  EXPECT_TRUE(event.Wait(absl::InfiniteDuration()));
  EXPECT_TRUE(event.Wait(absl::ZeroDuration()));
  event.Clear();
  EXPECT_FALSE(event.Wait(-absl::Seconds(1)));
}

TEST(SteadyEvent, WaitsNoLessThanItsTime) {
  const absl::Duration begin = SystemClock().Monotonic();
  EXPECT_FALSE(SteadyEvent().Wait(absl::Milliseconds(20)));
  EXPECT_GE(SystemClock().Monotonic() - begin, absl::Milliseconds(20));
}

TEST(SteadyEvent, WakesAllWhoWait) {
  SteadyEvent event;
  std::jthread one([&] { EXPECT_TRUE(event.Wait(absl::InfiniteDuration())); });
  std::jthread two([&] { EXPECT_TRUE(event.Wait(absl::Hours(1))); });
  event.Set();
}

}  // namespace
}  // namespace radiograph
