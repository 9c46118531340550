#include "server/jobs/errands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "server/jobs/waiter.h"
#include "tests/support/fake_clock.h"

namespace radiograph {
namespace {

using ::radiograph::testing::FakeClock;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ErrandsTest : public ::testing::Test {
 protected:
  Errands::Errand Say(const std::string& word) {
    return [this, word] { said_.push_back(word); };
  }
  FakeClock clock_;
  Errands errands_{&clock_};
  std::vector<std::string> said_;
};

TEST_F(ErrandsTest, RunsInOrderAndAtTheirTime) {
  const absl::Duration now = clock_.Monotonic();
  errands_.PostAt(now + absl::Seconds(2), Say("late"));
  errands_.PostAt(now + absl::Seconds(1), Say("soon"));
  errands_.Post(Say("now"));
  EXPECT_EQ(errands_.RunDue(), 1);
  EXPECT_THAT(said_, ElementsAre("now"));
  clock_.Jump(absl::Hours(1));  // the wall clock counts for nothing
  EXPECT_EQ(errands_.RunDue(), 0);
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(errands_.RunDue(), 2);
  EXPECT_THAT(said_, ElementsAre("now", "soon", "late"));
}

TEST_F(ErrandsTest, ACancelledErrandDoesNotRun) {
  Errands::Id id = errands_.PostAt(clock_.Monotonic() + absl::Seconds(1), Say("never"));
  EXPECT_TRUE(errands_.Cancel(id));
  EXPECT_FALSE(errands_.Cancel(id));
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(errands_.RunDue(), 0);
}

TEST_F(ErrandsTest, ItsThreadWakesForNewErrandsAndForAnEarlierTime) {
  SystemClock clock;
  Errands errands(&clock);
  errands.Start();
  absl::Notification posted, timed;
  errands.PostAt(clock.Monotonic() + absl::Hours(1), [] {});
  errands.PostAt(clock.Monotonic() + absl::Milliseconds(1), [&] { timed.Notify(); });
  errands.Post([&] { posted.Notify(); });
  posted.WaitForNotification();
  timed.WaitForNotification();
}

using IntWaiter = Waiter<int>;

TEST_F(ErrandsTest, AWaiterIsAnsweredOnce) {
  auto waiter = std::make_shared<IntWaiter>(
      &errands_, [&](int answer) { said_.push_back(std::to_string(answer)); });
  waiter->Arm(
      clock_.Monotonic() + absl::Seconds(1), [&] { waiter->Reply(2); }, {}, 3);
  EXPECT_TRUE(waiter->Reply(1));
  EXPECT_FALSE(waiter->Reply(4));
  EXPECT_TRUE(waiter->answered());
  EXPECT_THAT(said_, IsEmpty());  // not on this thread
  clock_.Advance(absl::Seconds(2));
  errands_.RunDue();
  EXPECT_THAT(said_, ElementsAre("1"));
}

TEST_F(ErrandsTest, AWaiterHearsAStopRequestBeforeAndAfterItIsArmed) {
  for (bool before : {true, false}) {
    std::stop_source stop;
    auto waiter = std::make_shared<IntWaiter>(
        &errands_, [&](int answer) { said_.push_back(std::to_string(answer)); });
    if (before) stop.request_stop();
    waiter->Arm(
        clock_.Monotonic() + absl::Seconds(1), [] {}, stop.get_token(), 3);
    if (!before) stop.request_stop();
    errands_.RunDue();
  }
  EXPECT_THAT(said_, ElementsAre("3", "3"));
}

}  // namespace
}  // namespace radiograph
