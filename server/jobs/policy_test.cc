// What the queue does about crashes, time-outs, drains and limits.
#include "absl/strings/str_cat.h"
#include "google/rpc/code.pb.h"
#include "server/jobs/jobs_fixture.h"

namespace radiograph {
namespace {

using ::radiograph::testing::JobsFixture;
using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PolicyTest : public JobsFixture {
 protected:
  std::string CreateFor(const std::string& tenant, const v1::CreateJobRequest& request = {}) {
    ResolvedJob resolved = Resolved();
    resolved.job.set_tenant(tenant);
    auto made = jobs_->Create(request, resolved);
    EXPECT_OK(made);
    Settle();
    return made.ok() ? made->job().id() : "";
  }
  static bool Carries(const absl::Status& status, absl::string_view detail) {
    return status.GetPayload(absl::StrCat("type.googleapis.com/google.rpc.", detail)).has_value();
  }
  bool IsGivenWork(const std::string& slot) {
    auto answer = Poll(Slot(slot, v1::IDLE));
    return answer->has_value() && (**answer)->has_lease();
  }
};

TEST_F(PolicyTest, ACrashedJobWaitsBeforeItIsTriedAgain) {
  options_.backoff = {absl::Seconds(10), absl::Minutes(1)};
  Restart();
  const std::string id = Create();
  ASSERT_OK(Ask(Done(Take(), "CRASHED")));
  EXPECT_THAT(Get(id).pending_reason(), HasSubstr("tried again at"));
  auto waiting = Poll(Slot("w/cpu", v1::IDLE));
  Advance(absl::Seconds(4.9));
  EXPECT_FALSE(waiting->has_value());
  clock_.Jump(absl::Hours(-1));  // the wait is not by the wall clock
  Advance(absl::Seconds(5.2));
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((**waiting)->lease().attempt(), 2);
}

TEST_F(PolicyTest, ARetryPrefersAnotherSlot) {
  auto other = Poll(Slot("b/cpu", v1::IDLE));
  Advance(absl::Seconds(10));  // b is alive, and does not ask just now
  ASSERT_TRUE(other->has_value());
  const std::string id = Create();
  ASSERT_OK(Ask(Done(Take("a/cpu"), "CRASHED", "a/cpu")));
  EXPECT_FALSE(IsGivenWork("a/cpu"));
  EXPECT_EQ(Take("b/cpu").job(), id);
  EXPECT_THAT(Get(id).attempts(1).slot(), "b/cpu");
}

TEST_F(PolicyTest, ARetryComesToTheSameSlotWhenThereIsNoOther) {
  const std::string id = Create();
  ASSERT_OK(Ask(Done(Take("a/cpu"), "CRASHED", "a/cpu")));
  EXPECT_EQ(Take("a/cpu").attempt(), 2);
}

// A sick device fails every job fastest; it must not eat the queue.
TEST_F(PolicyTest, ThreeCrashesInARowOnDifferentJobsCloseASlotForAWhile) {
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(Create());
  const v1::Lease kept = Take("good/cpu");  // a long job, all the time
  auto wait = [&](int seconds) {
    for (int i = 0; i < seconds; ++i) {
      Poll(Holder(kept, v1::BUSY, "good/cpu"));
      Advance(absl::Seconds(1));
    }
  };
  auto crash = [&] { ASSERT_OK(Ask(Done(Take("sick/cpu"), "CRASHED", "sick/cpu"))); };
  for (int i = 0; i < 3; ++i) crash();
  EXPECT_FALSE(IsGivenWork("sick/cpu"));
  const v1::ListWorkersResponse listed = jobs_->ListWorkers(kDefaultTenant);
  for (const v1::Worker& worker : listed.workers()) {
    EXPECT_EQ(worker.quarantine().empty(), worker.slot() == "good/cpu");
  }
  wait(29);
  EXPECT_FALSE(IsGivenWork("sick/cpu"));
  wait(1);
  for (int i = 0; i < 3; ++i) crash();  // it has learnt nothing: twice as long
  wait(59);
  EXPECT_FALSE(IsGivenWork("sick/cpu"));
  wait(1);
  ASSERT_OK(Ask(Done(Take("sick/cpu"), "SUCCEEDED", "sick/cpu")));
  for (int i = 0; i < 3; ++i) crash();  // a good end, and it begins anew
  wait(30);
  EXPECT_TRUE(IsGivenWork("sick/cpu"));
  int failed = 0;
  for (const std::string& id : ids) failed += Get(id).state() == v1::FAILED;
  EXPECT_EQ(failed, 0);
}

TEST_F(PolicyTest, AFullDiskClosesASlotAsCrashesDo) {
  for (int i = 0; i < 6; ++i) Create();
  Take("good/cpu");
  for (int i = 0; i < 3; ++i) {
    v1::SynchronizeRequest done = Done(Take("full/cpu"), "FAILED", "full/cpu");
    done.mutable_report()->mutable_error()->set_code(google::rpc::UNAVAILABLE);
    ASSERT_OK(Ask(done));
  }
  EXPECT_FALSE(IsGivenWork("full/cpu"));
}

TEST_F(PolicyTest, AJobThatCrashesEverywhereClosesNoSlot) {
  Create();
  for (int i = 0; i < 3; ++i) ASSERT_OK(Ask(Done(Take(), "CRASHED")));
  Create();
  EXPECT_TRUE(IsGivenWork("w/cpu"));
}

TEST_F(PolicyTest, ATimeoutEndsAJobThatWaits) {
  v1::CreateJobRequest request;
  request.mutable_timeout()->set_seconds(60);
  for (bool restart : {false, true}) {
    const std::string id = CreateFor(kDefaultTenant, request);
    if (restart) Restart();
    Advance(absl::Seconds(59));
    EXPECT_EQ(Get(id).state(), v1::QUEUED);
    Advance(absl::Seconds(1));
    EXPECT_EQ(Get(id).state(), v1::FAILED);
    EXPECT_EQ(Get(id).error().code(), 4);  // DEADLINE_EXCEEDED
  }
}

TEST_F(PolicyTest, ATimeoutStopsAJobThatRuns) {
  v1::CreateJobRequest request;
  request.mutable_timeout()->set_seconds(5);
  const std::string id = CreateFor(kDefaultTenant, request);
  const v1::Lease lease = Take();
  auto busy = Poll(Holder(lease, v1::BUSY));
  Advance(absl::Seconds(5));
  ASSERT_TRUE(busy->has_value());
  EXPECT_TRUE((**busy)->cancel());
  ASSERT_OK(Ask(Done(lease, "CANCELLED")));
  const v1::Job job = Get(id);
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(job.attempts(0).outcome(), "DEADLINE");
  EXPECT_THAT(job.error().message(), HasSubstr("time-out"));
}

TEST_F(PolicyTest, ANotBeforeIsWaitedFor) {
  v1::CreateJobRequest request;
  request.mutable_not_before()->set_seconds(absl::ToUnixSeconds(clock_.Now()) + 100);
  const std::string later = CreateFor(kDefaultTenant, request);
  Restart();
  const std::string now = Create();
  EXPECT_EQ(Take("a").job(), now);
  EXPECT_FALSE(IsGivenWork("b"));
  Advance(absl::Seconds(100));
  EXPECT_EQ(Take("b").job(), later);
}

TEST_F(PolicyTest, AHigherPriorityGoesFirst) {
  v1::CreateJobRequest low, high;
  low.set_priority(v1::LOW);
  high.set_priority(v1::HIGH);
  const std::string third = CreateFor(kDefaultTenant, low);
  const std::string second = Create();
  const std::string first = CreateFor(kDefaultTenant, high);
  Restart();
  EXPECT_EQ(Take("a").job(), first);
  EXPECT_EQ(Take("b").job(), second);
  EXPECT_EQ(Take("c").job(), third);
}

TEST_F(PolicyTest, ADrainedWorkerGetsNothingAndGivesBackAfterTheGrace) {
  const std::string id = Create();
  const v1::Lease lease = Take("w/cpu");
  Create();
  ASSERT_OK(jobs_->Drain("w", absl::Seconds(5)));
  auto busy = Poll(Holder(lease, v1::BUSY));
  Advance(absl::Seconds(4));
  EXPECT_FALSE(busy->has_value());
  Advance(absl::Seconds(1));
  ASSERT_TRUE(busy->has_value());
  EXPECT_TRUE((**busy)->cancel());
  ASSERT_OK(Ask(Done(lease, "CANCELLED")));
  const v1::Job job = Get(id);
  EXPECT_EQ(job.state(), v1::QUEUED);
  EXPECT_EQ(job.attempts(0).outcome(), "PREEMPTED");
  EXPECT_FALSE(job.has_not_before());  // not burned
  EXPECT_FALSE(IsGivenWork("w/cpu"));
  EXPECT_TRUE(jobs_->ListWorkers(kDefaultTenant).workers(0).draining());
  ASSERT_OK(jobs_->Undrain("w"));
  EXPECT_TRUE(IsGivenWork("w/cpu"));
  EXPECT_THAT(jobs_->Drain("nope", absl::Seconds(1)),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'nope'")));
  EXPECT_THAT(jobs_->Undrain("w"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'w'")));
}

TEST_F(PolicyTest, TenantsHaveLimitsOfTheirOwn) {
  options_.queued_jobs_per_tenant_max = 2;
  options_.running_jobs_per_tenant_max = 1;
  Restart();
  CreateFor("a");
  const std::string second = CreateFor("a");
  ResolvedJob third = Resolved();
  third.job.set_tenant("a");
  const absl::Status refused = jobs_->Create({}, third).status();
  EXPECT_THAT(refused,
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("2 jobs of tenant a")));
  EXPECT_TRUE(Carries(refused, "RetryInfo"));
  EXPECT_TRUE(Carries(refused, "QuotaFailure"));
  EXPECT_EQ(jobs_->CountOf("a", v1::QUEUED), 2);
  const std::string others = CreateFor("b");
  const v1::Lease lease = Take("w1");
  EXPECT_EQ(Take("w2").job(), others);
  EXPECT_FALSE(IsGivenWork("w3"));
  EXPECT_THAT(jobs_->Get({"a", second})->pending_reason(), HasSubstr("1 jobs of this tenant run"));
  ASSERT_OK(Ask(Done(lease, "FAILED", "w1")));
  EXPECT_EQ(Take("w1").job(), second);
}

TEST_F(PolicyTest, ALimitOfZeroIsNone) {
  options_.queued_jobs_max = options_.queued_jobs_per_tenant_max = 0;
  options_.running_jobs_per_tenant_max = 0;
  Restart();
  CreateFor("a");
  CreateFor("a");
  Take("w1");
  Take("w2");
}

TEST_F(PolicyTest, OnALowDiskNoJobIsMadeAndAllOthersEnd) {
  v1::CreateJobRequest request;
  request.set_request_id("r");
  ASSERT_OK(jobs_->Create(request, Resolved()));
  const std::string id = Create(), waits = Create();
  const v1::Lease lease = Take();
  disk_.SetFree(0);
  Advance(absl::Seconds(1));
  const absl::Status refused = jobs_->Create({}, Resolved()).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("disk is low")));
  EXPECT_TRUE(Carries(refused, "RetryInfo"));
  EXPECT_OK(jobs_->Create(request, Resolved())) << "it is made already";
  request.set_validate_only(true);
  EXPECT_OK(jobs_->Create(request, Resolved()));
  ASSERT_OK(Ask(Done(lease, "FAILED")));
  EXPECT_EQ(jobs_->Get(Key(lease.job()))->state(), v1::FAILED);
  EXPECT_OK(jobs_->Cancel(Key(waits)));
  EXPECT_EQ(Get(waits).state(), v1::CANCELLED);
  disk_.SetFree(int64_t{1} << 40);
  Advance(absl::Seconds(1));
  EXPECT_OK(jobs_->Create({}, Resolved()));
}

TEST_F(PolicyTest, RetryMakesANewJobOnceForEachRequest) {
  const std::string id = Create();
  EXPECT_THAT(jobs_->Retry(Key(id), ""),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("QUEUED")));
  ASSERT_OK(Ask(Done(Take(), "FAILED")));
  ASSERT_OK_AND_ASSIGN(v1::Job again, jobs_->Retry(Key(id), "r1"));
  EXPECT_NE(again.id(), id);
  EXPECT_EQ(again.retry_of(), id);
  EXPECT_EQ(again.state(), v1::QUEUED);
  EXPECT_EQ(Get(id).state(), v1::FAILED);  // an outcome stays
  ASSERT_OK_AND_ASSIGN(v1::Job same, jobs_->Retry(Key(id), "r1"));
  EXPECT_EQ(same.id(), again.id());
  const v1::Lease lease = Take();
  EXPECT_EQ(lease.job(), again.id());
  EXPECT_EQ(lease.request(), Resolved().request);
}

TEST_F(PolicyTest, OnlyEndedJobsAreDeleted) {
  const std::string id = Create();
  EXPECT_THAT(jobs_->Delete(Key(id)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cancel it first")));
  ASSERT_OK(jobs_->Cancel(Key(id)));
  EXPECT_THAT(jobs_->Delete({"other", id}), StatusIs(absl::StatusCode::kNotFound, HasSubstr(id)));
  ASSERT_OK(jobs_->Delete(Key(id)));
  EXPECT_THAT(jobs_->Get(Key(id)), StatusIs(absl::StatusCode::kNotFound, HasSubstr(id)));
  EXPECT_EQ(jobs_->Snapshot()->jobs[v1::CANCELLED], 0);
}

}  // namespace
}  // namespace radiograph
