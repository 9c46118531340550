// Leases, as Workers.Synchronize sees them.
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "server/jobs/jobs_fixture.h"
#include "server/jobs/lifecycle.h"

namespace radiograph {
namespace {

using ::radiograph::testing::JobsFixture;
using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LeasesTest : public JobsFixture {
 protected:
  void ExpectState(const std::string& id, v1::JobState state, int attempts) {
    const v1::Job job = Get(id);
    EXPECT_EQ(v1::JobState_Name(job.state()), v1::JobState_Name(state));
    EXPECT_EQ(job.attempts_size(), attempts);
  }
  static v1::SynchronizeRequest Progressed(const v1::Lease& lease, double fraction) {
    v1::SynchronizeRequest request = Holder(lease, v1::BUSY);
    request.mutable_progress()->set_started(true);
    request.mutable_progress()->set_fraction(fraction);
    request.mutable_progress()->set_phase("eigh");
    request.mutable_progress()->set_message(absl::StrCat("at ", fraction));
    return request;
  }
};

TEST_F(LeasesTest, AnIdleSlotGetsTheOldestJobWithAllThatItNeeds) {
  ResolvedJob resolved = Resolved();
  v1::Artifact& model = *(*resolved.job.mutable_inputs())["model"].add_artifacts();
  for (const char* name : {"model.safetensors", "copy.safetensors"}) {
    v1::ArtifactFile& file = *model.add_files();
    file.set_name(name);
    *file.mutable_blob() = *store_->blobs->PutBytes(kDefaultTenant, "weights");
  }
  ASSERT_OK_AND_ASSIGN(auto first, jobs_->Create({}, resolved));
  Create();
  ASSERT_OK_AND_ASSIGN(auto answer, Ask(Slot("w/cpu", v1::IDLE)));
  EXPECT_EQ(answer.desired(), v1::BUSY);
  EXPECT_EQ(answer.lease().job(), first.job().id());
  EXPECT_EQ(answer.lease().attempt(), 1);
  EXPECT_EQ(answer.lease().term().seconds(), 30);
  EXPECT_EQ(answer.lease().request(), resolved.request);
  ASSERT_EQ(answer.lease().blobs_size(), 1);  // each blob once
  EXPECT_EQ(answer.lease().blobs(0).blob().sha256(), Sha256Hex("weights"));
  EXPECT_EQ(answer.lease().token().size(), 32u);
  const v1::Job job = Get(first.job().id());
  EXPECT_EQ(job.state(), v1::RUNNING);
  EXPECT_EQ(job.attempts(0).slot(), "w/cpu");
  EXPECT_EQ(job.attempts(0).engine().build(), "build");
}

TEST_F(LeasesTest, ARepeatedPollGetsTheSameLease) {
  const std::string id = Create();
  const v1::Lease lease = Take();
  EXPECT_EQ(Take().SerializeAsString(), lease.SerializeAsString());
  ExpectState(id, v1::RUNNING, 1);
}

TEST_F(LeasesTest, DoneStoresResultAndStateAndARepeatGetsTheSameAnswer) {
  const std::string id = Create();
  const v1::SynchronizeRequest done = Done(Take(), "SUCCEEDED");
  ASSERT_OK_AND_ASSIGN(auto answer, Ask(done));
  EXPECT_EQ(answer.desired(), v1::IDLE);
  const v1::Job job = Get(id);
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_EQ(job.result(0).blob().sha256(), Sha256Hex("{}"));
  EXPECT_THAT(Messages(id), ElementsAre("created", "leased to w/cpu", "attempt 1: SUCCEEDED"));
  for (bool restart : {false, true}) {
    if (restart) Restart();
    ASSERT_OK_AND_ASSIGN(auto again, Ask(done));
    EXPECT_EQ(again.SerializeAsString(), answer.SerializeAsString());
    EXPECT_EQ(Get(id).SerializeAsString(), job.SerializeAsString());
  }
}

TEST_F(LeasesTest, AResultWithoutItsBlobsIsRefusedAndCanBeMended) {
  const std::string id = Create();
  v1::SynchronizeRequest done = Done(Take(), "SUCCEEDED");
  v1::SynchronizeRequest wrong = done;
  wrong.mutable_report()->mutable_result(0)->mutable_blob()->set_sha256(Sha256Hex("not uploaded"));
  EXPECT_THAT(Ask(wrong),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("result.json")));
  ExpectState(id, v1::RUNNING, 1);
  ASSERT_OK(Ask(done));
  ExpectState(id, v1::SUCCEEDED, 1);
}

TEST_F(LeasesTest, WrongReportsAreRefused) {
  Create();
  const v1::Lease lease = Take();
  EXPECT_THAT(Ask(Done(lease, "LOST")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("LOST")));
  EXPECT_THAT(Ask(Done(lease, "FINE")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("FINE")));
  v1::SynchronizeRequest failed_with_result = Done(lease, "SUCCEEDED");
  failed_with_result.mutable_report()->set_outcome("FAILED");
  EXPECT_THAT(Ask(failed_with_result),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("result")));
  v1::SynchronizeRequest request = Slot("", v1::IDLE);
  EXPECT_THAT(Ask(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("slot")));
  request = Slot("w/cpu", v1::SLOT_STATE_UNSPECIFIED);
  EXPECT_THAT(Ask(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("state")));
  request = Slot("w/cpu", v1::IDLE);
  request.clear_incarnation();
  EXPECT_THAT(Ask(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("incarnation")));
}

TEST_F(LeasesTest, ALeaseLivesWhileItIsRenewedAndNotLonger) {
  const std::string id = Create();
  const v1::Lease lease = Take();
  for (int i = 0; i < 10; ++i) {
    Poll(Holder(lease, v1::BUSY));
    Advance(absl::Seconds(29));
    ExpectState(id, v1::RUNNING, 1);
  }
  clock_.Jump(absl::Hours(10));  // the wall clock is no reason
  Settle();
  ExpectState(id, v1::RUNNING, 1);
  Advance(absl::Seconds(1));
  ExpectState(id, v1::QUEUED, 1);
  EXPECT_EQ(Get(id).attempts(0).outcome(), "LOST");
  EXPECT_THAT(Get(id).attempts(0).error().message(),
              HasSubstr("nothing was heard of slot w/cpu for 30s"));
  ASSERT_OK_AND_ASSIGN(auto answer, Ask(Holder(lease, v1::BUSY)));
  EXPECT_EQ(answer.desired(), v1::IDLE);  // the lease is gone
}

TEST_F(LeasesTest, ALostJobGoesToAnotherAndTheFirstCanNotWriteAnyMore) {
  const std::string id = Create();
  const v1::Lease old_lease = Take("old/cpu");
  Advance(absl::Seconds(30));
  const v1::Lease new_lease = Take("new/cpu");
  EXPECT_EQ(new_lease.job(), id);
  EXPECT_EQ(new_lease.attempt(), 2);
  EXPECT_NE(new_lease.token(), old_lease.token());
  for (const char* outcome : {"SUCCEEDED", "FAILED"}) {
    ASSERT_OK_AND_ASSIGN(auto answer, Ask(Done(old_lease, outcome, "old/cpu")));
    EXPECT_EQ(answer.desired(), v1::IDLE);
    ExpectState(id, v1::RUNNING, 2);
  }
  // Nor can the holder's name alone: the token counts.
  ASSERT_OK(Ask(Done(old_lease, "FAILED", "new/cpu")));
  ExpectState(id, v1::RUNNING, 2);
  ASSERT_OK(Ask(Done(new_lease, "SUCCEEDED", "new/cpu")));
  ExpectState(id, v1::SUCCEEDED, 2);
}

TEST_F(LeasesTest, AJobThatIsLostThreeTimesFails) {
  const std::string id = Create();
  for (int i = 1; i <= 3; ++i) {
    Take();
    ExpectState(id, v1::RUNNING, i);
    Advance(absl::Seconds(30));
  }
  ExpectState(id, v1::FAILED, 3);
  EXPECT_THAT(Get(id).error().message(), HasSubstr("given up after 3 attempts"));
}

TEST_F(LeasesTest, CrashesGoBackToTheQueueAndKeepTheirStderr) {
  const std::string id = Create();
  v1::SynchronizeRequest crashed = Done(Take(), "CRASHED");
  crashed.mutable_report()->set_stderr_tail("segmentation fault");
  ASSERT_OK(Ask(crashed));
  ExpectState(id, v1::QUEUED, 1);
  EXPECT_EQ(Get(id).attempts(0).stderr_tail(), "segmentation fault");
  ASSERT_OK(Ask(Done(Take(), "SUCCEEDED")));
  ExpectState(id, v1::SUCCEEDED, 2);
}

TEST_F(LeasesTest, ARunningJobIsCancelledThroughItsSlot) {
  const std::string id = Create();
  const v1::Lease lease = Take();
  auto busy = Poll(Holder(lease, v1::BUSY));
  EXPECT_FALSE(busy->has_value());
  ASSERT_OK_AND_ASSIGN(v1::Job job, jobs_->Cancel(Key(id)));
  EXPECT_EQ(job.state(), v1::RUNNING);
  EXPECT_TRUE(job.cancel_requested());
  Settle();
  ASSERT_TRUE(busy->has_value());
  EXPECT_TRUE((**busy)->cancel());
  EXPECT_EQ((**busy)->lease().token(), lease.token());
  // Told once; again after a second, for the answer may have been lost.
  auto again = Poll(Holder(lease, v1::BUSY));
  EXPECT_FALSE(again->has_value());
  Advance(absl::Seconds(1));
  ASSERT_TRUE(again->has_value());
  EXPECT_TRUE((**again)->cancel());
  ASSERT_OK(Ask(Done(lease, "CANCELLED")));
  ExpectState(id, v1::CANCELLED, 1);
}

TEST_F(LeasesTest, ACancelIsRememberedWhenTheSlotOrTheServerIsLost) {
  const std::string lost = Create();
  Take();
  ASSERT_OK(jobs_->Cancel(Key(lost)));
  Advance(absl::Seconds(30));
  ExpectState(lost, v1::CANCELLED, 1);

  const std::string restarted = Create();
  const v1::Lease lease = Take();
  ASSERT_OK(jobs_->Cancel(Key(restarted)));
  Restart();
  ASSERT_OK_AND_ASSIGN(auto answer, Ask(Holder(lease, v1::BUSY)));
  EXPECT_TRUE(answer.cancel());
}

TEST_F(LeasesTest, AnAgentThatWasStartedAgainHasLostItsJob) {
  const std::string id = Create();
  const v1::Lease first = Take();
  v1::SynchronizeRequest restarted = Slot("w/cpu", v1::IDLE);
  restarted.set_incarnation("second start");
  ASSERT_OK_AND_ASSIGN(auto answer, Ask(restarted));  // and gets it again
  EXPECT_EQ(answer.lease().job(), id);
  EXPECT_NE(answer.lease().token(), first.token());
  ExpectState(id, v1::RUNNING, 2);
  EXPECT_THAT(Get(id).attempts(0).error().message(), HasSubstr("started again"));
}

TEST_F(LeasesTest, ADrainingSlotGetsNothingAndGivesBackWhatItHasNotBegun) {
  const std::string id = Create();
  v1::SynchronizeRequest draining = Slot("w/cpu", v1::IDLE);
  draining.set_draining(true);
  EXPECT_FALSE(Poll(draining)->has_value());
  ExpectState(id, v1::QUEUED, 0);
  EXPECT_EQ(Get(id).pending_reason(), "no worker is there");
  Take();
  EXPECT_FALSE(Poll(draining)->has_value());
  ExpectState(id, v1::QUEUED, 1);
  EXPECT_EQ(Get(id).attempts(0).outcome(), "PREEMPTED");
}

TEST_F(LeasesTest, AfterARestartARemoteLeaseHasAFullTerm) {
  const std::string id = Create();
  const v1::Lease lease = Take();
  Advance(absl::Seconds(29));
  Restart();
  Advance(absl::Seconds(29));
  ExpectState(id, v1::RUNNING, 1);
  ASSERT_OK_AND_ASSIGN(auto answer, Ask(Done(lease, "SUCCEEDED")));
  ExpectState(id, v1::SUCCEEDED, 1);

  const std::string lost = Create();
  Take();
  Restart();
  Advance(absl::Seconds(30));
  ExpectState(lost, v1::QUEUED, 1);
}

TEST_F(LeasesTest, ALeaseWhoseAnswerWasLostInARestartIsGivenAgain) {
  const std::string id = Create();
  const v1::Lease lease = Take();
  Restart();
  EXPECT_EQ(Take().SerializeAsString(), lease.SerializeAsString());
  ExpectState(id, v1::RUNNING, 1);
}

TEST_F(LeasesTest, AfterARestartTheServersOwnLeasesAreVoidAndBurnNothing) {
  embedded_ = true;
  const std::string id = Create();
  for (int i = 1; i <= 5; ++i) {
    const v1::Lease lease = Take();
    Restart();
    ExpectState(id, v1::QUEUED, i);
    EXPECT_EQ(Get(id).attempts(i - 1).outcome(), "PREEMPTED");
    ASSERT_OK_AND_ASSIGN(auto answer, Ask(Holder(lease, v1::BUSY)));
    EXPECT_EQ(answer.desired(), v1::IDLE);
  }
}

TEST_F(LeasesTest, AStopThatTakesLongerThanALeaseDoesNotLoseIt) {
  options_.lease_term = absl::Seconds(1);
  Restart();
  const std::string id = Create();
  const v1::Lease lease = Take();
  auto busy = Poll(Holder(lease, v1::BUSY));
  ASSERT_OK(jobs_->Cancel(Key(id)));
  Settle();
  ASSERT_TRUE(busy->has_value());
  EXPECT_TRUE((**busy)->cancel());
  for (int i = 0; i < 10; ++i) {
    auto stopping = Poll(Holder(lease, v1::BUSY));
    Advance(absl::Milliseconds(350));
    ASSERT_TRUE(stopping->has_value()) << i;
    EXPECT_TRUE((**stopping)->cancel());
  }
  ASSERT_OK(Ask(Done(lease, "CANCELLED")));
  EXPECT_EQ(Get(id).attempts(0).outcome(), "CANCELLED");
}

TEST_F(LeasesTest, ProgressIsStoredNowAndThenAndShownAtOnce) {
  const std::string id = Create();
  const v1::Lease lease = Take();
  const absl::Time start = clock_.Now();
  for (int i = 1; i <= 10; ++i) Poll(Progressed(lease, 0.01 * i));
  EXPECT_THAT(Messages(id), ElementsAre("created", "leased to w/cpu", "started"));
  v1::Job job = Get(id);
  EXPECT_EQ(job.progress(), 0.1);
  EXPECT_EQ(job.phase(), "eigh");
  EXPECT_EQ(job.attempts(0).start_time().seconds(), absl::ToUnixSeconds(start));
  clock_.Advance(absl::Milliseconds(950));  // a second of the agent's, a little early here
  for (int i = 11; i <= 20; ++i) Poll(Progressed(lease, 0.01 * i));
  EXPECT_THAT(Messages(id), ElementsAre("created", "leased to w/cpu", "started", "at 0.11"));
  Advance(absl::Seconds(1));  // the latest is not lost, though the slot says nothing more
  EXPECT_THAT(Messages(id),
              ElementsAre("created", "leased to w/cpu", "started", "at 0.11", "at 0.2"));
  Advance(absl::Seconds(5));
  Poll(Progressed(lease, 0.2));  // nothing new
  EXPECT_EQ(Messages(id).size(), 5u);
}

TEST_F(LeasesTest, WhatAnEndedAttemptSaidLastIsNoEventAfterItsEnd) {
  const std::string id = Create();
  const v1::Lease lease = Take();
  Poll(Progressed(lease, 0.1));
  Poll(Progressed(lease, 0.2));
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  Advance(absl::Seconds(2));
  EXPECT_EQ(Messages(id).back(), "attempt 1: SUCCEEDED");
  EXPECT_EQ(Get(id).progress(), 1);
}

}  // namespace
}  // namespace radiograph
