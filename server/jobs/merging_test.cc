// Jobs that are the same work.
#include "server/jobs/merging.h"

#include "absl/strings/str_cat.h"
#include "server/jobs/jobs_fixture.h"

namespace radiograph {
namespace {

using ::radiograph::testing::JobsFixture;
using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

class MergingTest : public JobsFixture {
 protected:
  std::string CreateSame(const v1::CreateJobRequest& request = {},
                         const std::string& tenant = kDefaultTenant) {
    ResolvedJob resolved = Resolved("key");
    resolved.job.set_tenant(tenant);
    auto made = jobs_->Create(request, resolved);
    EXPECT_OK(made);
    Settle();
    return made.ok() ? made->job().id() : "";
  }
  v1::JobState StateOf(const std::string& id) { return Get(id).state(); }
};

TEST_F(MergingTest, OneRunServesAllThatAskForTheSameWork) {
  const std::string first = CreateSame(), second = CreateSame();
  EXPECT_EQ(Get(second).merged_into(), first);
  EXPECT_THAT(Get(second).pending_reason(), HasSubstr(first));
  const v1::Lease lease = Take();
  EXPECT_EQ(lease.job(), first);
  const std::string third = CreateSame();  // while it runs
  EXPECT_FALSE(Poll(Slot("other/cpu", v1::IDLE))->has_value());
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  for (const std::string& id : {first, second, third}) {
    const v1::Job job = Get(id);
    EXPECT_EQ(job.state(), v1::SUCCEEDED);
    EXPECT_EQ(job.result_digest(), Get(first).result_digest());
    EXPECT_EQ(job.attempts_size(), 1);
    EXPECT_EQ(job.merged_into(), "");
    EXPECT_TRUE(jobs_->Events(Key(id), 0, 10)->ended);
  }
}

TEST_F(MergingTest, AFailureIsEverybodys) {
  const std::string first = CreateSame(), second = CreateSame();
  ASSERT_OK(Ask(Done(Take(), "FAILED")));
  EXPECT_EQ(StateOf(first), v1::FAILED);
  EXPECT_EQ(StateOf(second), v1::FAILED);
  EXPECT_EQ(Get(second).error().message(), "because of the test");
  EXPECT_EQ(Get(CreateSame()).merged_into(), "");  // failures are not shared with later ones
}

TEST_F(MergingTest, ACancelWhileItWaitsLeavesTheOthers) {
  const std::string first = CreateSame(), second = CreateSame(), third = CreateSame();
  ASSERT_OK(jobs_->Cancel(Key(first)));
  EXPECT_EQ(StateOf(first), v1::CANCELLED);
  EXPECT_EQ(Get(second).merged_into(), "");
  EXPECT_EQ(Get(third).merged_into(), second);
  ASSERT_OK(jobs_->Cancel(Key(third)));  // a merged one just goes
  const v1::Lease lease = Take();
  EXPECT_EQ(lease.job(), second);
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  EXPECT_EQ(StateOf(second), v1::SUCCEEDED);
  EXPECT_EQ(StateOf(third), v1::CANCELLED);
}

TEST_F(MergingTest, ACancelWhileItRunsHandsTheRunOver) {
  const std::string first = CreateSame(), second = CreateSame(), third = CreateSame();
  const v1::Lease lease = Take();
  auto busy = Poll(Holder(lease, v1::BUSY));
  ASSERT_OK(jobs_->Cancel(Key(first)));
  Settle();
  EXPECT_FALSE(busy->has_value()) << "the run was told to stop";
  EXPECT_EQ(StateOf(first), v1::CANCELLED);
  EXPECT_EQ(StateOf(second), v1::RUNNING);
  EXPECT_EQ(jobs_->ListWorkers(kDefaultTenant).workers(0).job(), second);
  for (bool restart : {false, true}) {
    if (restart) Restart();
    ASSERT_OK(jobs_->Cancel(Key(restart ? second : first)));  // again; and the next
  }
  EXPECT_EQ(StateOf(third), v1::RUNNING);
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  EXPECT_EQ(StateOf(third), v1::SUCCEEDED);
  EXPECT_EQ(StateOf(second), v1::CANCELLED);
  EXPECT_EQ(Get(second).attempts(0).outcome(), "CANCELLED");
}

TEST_F(MergingTest, TheLastCancelStopsTheRun) {
  const std::string first = CreateSame(), second = CreateSame();
  const v1::Lease lease = Take();
  ASSERT_OK(jobs_->Cancel(Key(first)));
  auto busy = Poll(Holder(lease, v1::BUSY));
  ASSERT_OK(jobs_->Cancel(Key(second)));
  Settle();
  ASSERT_TRUE(busy->has_value());
  EXPECT_TRUE((**busy)->cancel());
  EXPECT_EQ(Get(CreateSame()).merged_into(), "");  // nobody joins what is being stopped
  ASSERT_OK(Ask(Done(lease, "CANCELLED")));
  EXPECT_EQ(StateOf(second), v1::CANCELLED);
}

TEST_F(MergingTest, TenantsAndKindsOfDeviceAndFreshRunsDoNotMix) {
  v1::CreateJobRequest refresh, bypass, on_cuda;
  refresh.set_cache(v1::REFRESH);
  bypass.set_cache(v1::BYPASS);
  on_cuda.set_device_kind("cuda");
  CreateSame();
  EXPECT_EQ(Get(CreateSame(refresh)).merged_into(), "");
  EXPECT_EQ(Get(CreateSame(bypass)).merged_into(), "");
  EXPECT_EQ(Get(CreateSame(on_cuda)).merged_into(), "");
  const std::string others = CreateSame({}, "other");
  ASSERT_OK_AND_ASSIGN(v1::Job job, jobs_->Get({"other", others}));
  EXPECT_EQ(job.merged_into(), "");
  EXPECT_THAT(jobs_->Get(Key(others)), StatusIs(absl::StatusCode::kNotFound, HasSubstr(others)));
}

TEST_F(MergingTest, AnUrgentTwinMakesTheFirstUrgentAndAnEarlyOneEarly) {
  v1::CreateJobRequest low, high;
  low.set_priority(v1::LOW);
  low.mutable_not_before()->set_seconds(absl::ToUnixSeconds(clock_.Now()) + 3600);
  high.set_priority(v1::HIGH);
  const std::string first = CreateSame(low);
  const std::string normal = Create();
  EXPECT_THAT(Get(first).pending_reason(), HasSubstr("not before"));
  CreateSame(high);
  EXPECT_EQ(Take().job(), first);
  EXPECT_EQ(Take("other/cpu").job(), normal);
}

TEST_F(MergingTest, ARefreshedResultWithOtherBytesIsNoted) {
  std::vector<std::string> mismatched;
  observer_.mismatched = [&](const v1::Job& job) { mismatched.push_back(job.id()); };
  Restart();
  const std::string first = CreateSame();
  ASSERT_OK(Ask(Done(Take(), "SUCCEEDED")));
  v1::CreateJobRequest refresh;
  refresh.set_cache(v1::REFRESH);
  const std::string same = CreateSame(refresh);
  ASSERT_OK(Ask(Done(Take(), "SUCCEEDED")));
  EXPECT_EQ(Get(same).differs_from(), "");
  const std::string other = CreateSame(refresh);
  v1::SynchronizeRequest done = Done(Take(), "SUCCEEDED");
  *done.mutable_report()->mutable_result(0)->mutable_blob() =
      *store_->blobs->PutBytes(kDefaultTenant, "[]");
  ASSERT_OK(Ask(done));
  EXPECT_EQ(Get(other).differs_from(), same);
  EXPECT_EQ(mismatched, std::vector<std::string>{other});
}

TEST_F(MergingTest, MergedJobsAreStillMergedAfterARestart) {
  const std::string first = CreateSame(), second = CreateSame();
  Restart();
  EXPECT_EQ(Get(second).merged_into(), first);
  ASSERT_OK(Ask(Done(Take(), "SUCCEEDED")));
  EXPECT_EQ(StateOf(second), v1::SUCCEEDED);
}

}  // namespace
}  // namespace radiograph
