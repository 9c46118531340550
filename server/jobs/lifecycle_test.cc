#include "server/jobs/lifecycle.h"

#include <gmock/gmock.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "google/rpc/code.pb.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'767'225'600);

v1::Job JobIn(v1::JobState state) {
  v1::Job job;
  job.set_id("j");
  job.set_state(state);
  if (state == v1::RUNNING) job.add_attempts()->set_number(1);
  return job;
}

v1::AttemptReport Report(const std::string& outcome, const std::string& message = "why") {
  v1::AttemptReport report;
  report.set_outcome(outcome);
  if (outcome != "SUCCEEDED") report.mutable_error()->set_message(message);
  return report;
}

// Runs an attempt that ends so.
void RunAttempt(v1::Job& job, const std::string& outcome, const std::string& message = "why") {
  ASSERT_OK(Lease(job, "w/cpu", {}, kNow));
  ASSERT_OK(EndAttempt(job, Report(outcome, message), kNow));
}

constexpr Happening kAll[] = {Happening::kLeased,     Happening::kStarted,
                              Happening::kProgressed, Happening::kCancelRequested,
                              Happening::kSucceeded,  Happening::kFailed,
                              Happening::kCrashed,    Happening::kLost,
                              Happening::kPreempted,  Happening::kCancelled};

TEST(Lifecycle, EveryHappeningInEveryState) {
  const std::map<std::pair<v1::JobState, Happening>, v1::JobState> legal = {
      {{v1::QUEUED, Happening::kLeased}, v1::RUNNING},
      {{v1::QUEUED, Happening::kCancelRequested}, v1::CANCELLED},
      {{v1::RUNNING, Happening::kCancelRequested}, v1::RUNNING},
      {{v1::RUNNING, Happening::kStarted}, v1::RUNNING},
      {{v1::RUNNING, Happening::kProgressed}, v1::RUNNING},
      {{v1::RUNNING, Happening::kSucceeded}, v1::SUCCEEDED},
      {{v1::RUNNING, Happening::kFailed}, v1::FAILED},
      {{v1::RUNNING, Happening::kCrashed}, v1::QUEUED},
      {{v1::RUNNING, Happening::kLost}, v1::QUEUED},
      {{v1::RUNNING, Happening::kPreempted}, v1::QUEUED},
      {{v1::RUNNING, Happening::kCancelled}, v1::QUEUED},  // nobody asked for it
  };
  int64_t refused = 0;
  for (v1::JobState state : {v1::QUEUED, v1::RUNNING, v1::SUCCEEDED, v1::FAILED, v1::CANCELLED}) {
    for (Happening what : kAll) {
      SCOPED_TRACE(absl::StrCat(v1::JobState_Name(state), " ", what));
      absl::StatusOr<v1::JobState> next = NextState(JobIn(state), what);
      auto expected = legal.find({state, what});
      if (expected != legal.end()) {
        ASSERT_OK(next);
        EXPECT_EQ(*next, expected->second);
      } else {
        ++refused;
        EXPECT_THAT(next, StatusIs(absl::StatusCode::kFailedPrecondition,
                                   HasSubstr(v1::JobState_Name(state))));
      }
    }
  }
  EXPECT_EQ(refused, 5 * 10 - 11);
}

TEST(Lifecycle, ARefusedStepChangesNothing) {
  v1::Job job = JobIn(v1::SUCCEEDED);
  const std::string before = job.SerializeAsString();
  EXPECT_FALSE(Lease(job, "w/cpu", {}, kNow).ok());
  EXPECT_FALSE(Start(job, kNow).ok());
  EXPECT_FALSE(RequestCancel(job, kNow).ok());
  EXPECT_FALSE(EndAttempt(job, Report("FAILED"), kNow).ok());
  EXPECT_EQ(job.SerializeAsString(), before);
}

TEST(Lifecycle, SuccessTakesTheResultOver) {
  v1::Job job = JobIn(v1::QUEUED);
  v1::Engine engine;
  engine.set_build("b");
  ASSERT_OK(Lease(job, "w/cpu", engine, kNow));
  ASSERT_OK(Start(job, kNow + absl::Seconds(1)));
  v1::AttemptReport report = Report("SUCCEEDED");
  report.set_peak_host_bytes(5);
  v1::ArtifactFile& file = *report.add_result();
  file.set_name("result.json");
  file.mutable_blob()->set_sha256(Sha256Hex("{}"));
  ASSERT_OK(EndAttempt(job, report, kNow + absl::Seconds(2)));
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_EQ(job.progress(), 1);
  EXPECT_EQ(job.result(0).name(), "result.json");
  // SHA-256 of [["result.json","<digest>"]], by hand.
  EXPECT_EQ(job.result_digest(),
            Sha256Hex(absl::StrCat("[[\"result.json\",\"", Sha256Hex("{}"), "\"]]")));
  EXPECT_EQ(job.end_time().seconds(), absl::ToUnixSeconds(kNow) + 2);
  ASSERT_EQ(job.attempts_size(), 1);
  EXPECT_EQ(job.attempts(0).number(), 1);
  EXPECT_EQ(job.attempts(0).slot(), "w/cpu");
  EXPECT_EQ(job.attempts(0).engine().build(), "b");
  EXPECT_EQ(job.attempts(0).outcome(), "SUCCEEDED");
  EXPECT_EQ(job.attempts(0).start_time().seconds(), absl::ToUnixSeconds(kNow) + 1);
  EXPECT_EQ(job.attempts(0).peak_host_bytes(), 5);
}

TEST(Lifecycle, AFailureIsTheJobsOwn) {
  v1::Job job = JobIn(v1::RUNNING);
  v1::AttemptReport report = Report("FAILED", "NaN in weights");
  report.mutable_error()->set_code(google::rpc::FAILED_PRECONDITION);
  ASSERT_OK(EndAttempt(job, report, kNow));
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(job.error().code(), google::rpc::FAILED_PRECONDITION);
  EXPECT_EQ(job.error().message(), "NaN in weights");
}

TEST(Lifecycle, CrashesAndLossesAreCountedPreemptionsAreNot) {
  v1::Job job = JobIn(v1::QUEUED);
  RunAttempt(job, "CRASHED");
  for (int i = 0; i < 5; ++i) RunAttempt(job, "PREEMPTED");
  RunAttempt(job, "LOST");
  EXPECT_EQ(job.state(), v1::QUEUED);
  RunAttempt(job, "CRASHED", "signal 9");
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(job.error().message(), "given up after 8 attempts; the last: signal 9");
  EXPECT_TRUE(job.has_end_time());
}

TEST(Lifecycle, PreemptionsAreBoundedToo) {
  v1::Job job = JobIn(v1::QUEUED);
  for (int i = 1; i < kAttemptsMax; ++i) RunAttempt(job, "PREEMPTED");
  EXPECT_EQ(job.state(), v1::QUEUED);
  RunAttempt(job, "PREEMPTED");
  EXPECT_EQ(job.state(), v1::FAILED);
}

TEST(Lifecycle, CancelEndsAQueuedJobAndAnyAttemptOfARunningOne) {
  v1::Job queued = JobIn(v1::QUEUED);
  ASSERT_OK(RequestCancel(queued, kNow));
  EXPECT_EQ(queued.state(), v1::CANCELLED);
  EXPECT_EQ(queued.error().code(), google::rpc::CANCELLED);
  for (const char* outcome : {"CANCELLED", "CRASHED", "LOST", "PREEMPTED"}) {
    SCOPED_TRACE(outcome);
    v1::Job running = JobIn(v1::RUNNING);
    ASSERT_OK(RequestCancel(running, kNow));
    EXPECT_EQ(running.state(), v1::RUNNING);
    ASSERT_OK(EndAttempt(running, Report(outcome), kNow));
    EXPECT_EQ(running.state(), v1::CANCELLED);
  }
  v1::Job just_done = JobIn(v1::RUNNING);
  ASSERT_OK(RequestCancel(just_done, kNow));
  ASSERT_OK(EndAttempt(just_done, Report("SUCCEEDED"), kNow));
  EXPECT_EQ(just_done.state(), v1::SUCCEEDED);
}

TEST(Lifecycle, GoingBackToTheQueueForgetsTheProgress) {
  v1::Job job = JobIn(v1::RUNNING);
  job.set_progress(0.7);
  job.set_phase("eigh");
  ASSERT_OK(EndAttempt(job, Report("CRASHED"), kNow));
  EXPECT_EQ(job.progress(), 0);
  EXPECT_EQ(job.phase(), "");
  EXPECT_FALSE(job.has_error());
}

TEST(Lifecycle, StderrTailsAreCutBetweenCharacters) {
  v1::Job job = JobIn(v1::QUEUED);
  ASSERT_OK(Lease(job, "w/cpu", {}, kNow));
  v1::AttemptReport report = Report("CRASHED");
  report.set_stderr_tail(
      absl::StrCat("\xC3\xA9", std::string(kStderrTailBytesMax - 1, 'x')));  // an e acute
  ASSERT_OK(EndAttempt(job, report, kNow));
  EXPECT_EQ(job.attempts(0).stderr_tail(), std::string(kStderrTailBytesMax - 1, 'x'));
  RunAttempt(job, "PREEMPTED");
  EXPECT_EQ(job.attempts(0).stderr_tail().size(), 4096u);  // only the last attempt keeps all
}

TEST(Lifecycle, OutcomesAreWords) {
  ASSERT_OK_AND_ASSIGN(Happening what, ParseOutcome("PREEMPTED"));
  EXPECT_EQ(what, Happening::kPreempted);
  for (const char* word : {"", "succeeded", "LEASED", "CANCEL_REQUESTED", "?"}) {
    EXPECT_THAT(ParseOutcome(word), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(word)));
  }
}

}  // namespace
}  // namespace radiograph
