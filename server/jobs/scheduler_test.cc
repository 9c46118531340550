#include "server/jobs/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/jobs/lifecycle.h"

namespace radiograph {
namespace {

using ::testing::ElementsAre;

class SchedulerTest : public ::testing::Test {
 protected:
  void Add(const std::string& id, const std::string& tenant, double seconds = 1,
           v1::JobPriority priority = v1::NORMAL, JobNeeds needs = {}) {
    scheduler_.Add({id, tenant, priority, ++sequence_, seconds, std::move(needs)});
  }
  std::string Take(const std::string& full_tenant = "") {
    auto job = scheduler_.Take([&](const JobNeeds& needs) { return needs.memory_bytes <= memory_; },
                               [&](const std::string& tenant) { return tenant != full_tenant; });
    return job ? job->id : "none";
  }

  Scheduler scheduler_;
  int64_t sequence_ = 0;
  int64_t memory_ = 100;
};

TEST_F(SchedulerTest, ATenantsOldestJobThatFitsGoesFirst) {
  Add("large", "a", 1, v1::NORMAL, {.memory_bytes = 1000});
  Add("first", "a");
  Add("second", "a", 1, v1::NORMAL, {.memory_bytes = 10});
  EXPECT_EQ(Take(), "first");
  EXPECT_EQ(Take(), "second");
  EXPECT_EQ(Take(), "none");
  memory_ = 1000;
  EXPECT_EQ(Take(), "large");
}

TEST_F(SchedulerTest, AHigherClassGoesFirstAndARaisedJobJoinsIt) {
  Add("low", "a", 1, v1::LOW);
  Add("normal", "a");
  Add("high", "b", 1, v1::HIGH);
  scheduler_.Raise("low", v1::HIGH);
  scheduler_.Raise("high", v1::LOW);  // never down
  EXPECT_EQ(Take(), "high");          // b came into the class first
  EXPECT_EQ(Take(), "low");
  EXPECT_EQ(Take(), "normal");
}

TEST_F(SchedulerTest, AFloodOfOneTenantDelaysAnotherByATurn) {
  for (int i = 0; i < 1000; ++i) Add(absl::StrCat("flood ", i), "a");
  for (int i = 0; i < 3; ++i) Add(absl::StrCat("b", i), "b");
  std::vector<std::string> first;
  for (int i = 0; i < 6; ++i) first.push_back(Take());
  EXPECT_THAT(first, ElementsAre("flood 0", "b0", "flood 1", "b1", "flood 2", "b2"));
}

TEST_F(SchedulerTest, TenantsShareTimeNotNumbersOfJobs) {
  for (int i = 0; i < 1000; ++i) Add(absl::StrCat("short ", i), "a", 1);
  for (int i = 0; i < 100; ++i) Add(absl::StrCat("long ", i), "b", 10);
  double seconds_a = 0, seconds_b = 0;
  while (seconds_a + seconds_b < 400) (Take()[0] == 's' ? seconds_a += 1 : seconds_b += 10);
  EXPECT_NEAR(seconds_a, seconds_b, 10);  // a job of the longer kind
}

TEST_F(SchedulerTest, WhatATenantSavedEndsWithItsQueue) {
  Add("a0", "a", 100);
  Add("b0", "b", 1);
  EXPECT_EQ(Take(), "b0");  // a has saved a turn
  EXPECT_EQ(Take(), "a0");
  Add("a1", "a", 3);
  Add("b1", "b", 2);
  EXPECT_EQ(Take(), "b1");  // each begins anew
}

TEST_F(SchedulerTest, ATenantThatMayNotRunIsPassedOver) {
  Add("a0", "a");
  Add("b0", "b");
  EXPECT_EQ(Take("a"), "b0");
  EXPECT_EQ(Take("a"), "none");
  EXPECT_EQ(Take(), "a0");
}

TEST_F(SchedulerTest, ARemovedJobIsGone) {
  Add("a0", "a");
  EXPECT_TRUE(scheduler_.Remove("a0"));
  EXPECT_FALSE(scheduler_.Remove("a0"));
  EXPECT_EQ(Take(), "none");
}

}  // namespace
}  // namespace radiograph
