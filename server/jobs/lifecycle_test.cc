#include "server/jobs/lifecycle.h"

#include <gmock/gmock.h>

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
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

v1::AttemptReport Report(const std::string& outcome, const std::string& message = "why",
                         google::rpc::Code code = google::rpc::INTERNAL) {
  v1::AttemptReport report;
  report.set_outcome(outcome);
  if (outcome == "SUCCEEDED") return report;
  report.mutable_error()->set_code(code);
  report.mutable_error()->set_message(message);
  return report;
}

// Runs an attempt that ends so.
void RunAttempt(v1::Job& job, const std::string& outcome, const std::string& message = "why",
                google::rpc::Code code = google::rpc::INTERNAL) {
  ASSERT_OK(Lease(job, "w/cpu", {}, kNow));
  ASSERT_OK(EndAttempt(job, Report(outcome, message, code), {}, kNow));
}

// Has that happen to the job, by the function that is for it.
absl::Status Apply(v1::Job& job, Happening what) {
  switch (what) {
    case Happening::kLeased:
      return Lease(job, "w/cpu", {}, kNow);
    case Happening::kStarted:
      return Start(job, absl::InfinitePast(), kNow);
    case Happening::kCancelRequested:
    case Happening::kDeadlinePassed:
      return Stop(job, what, /*work_goes_on=*/false, kNow);
    case Happening::kLeft:
      return Stop(job, Happening::kCancelRequested, true, kNow);
    case Happening::kTookOver:
      return TakeOver(job, JobIn(v1::RUNNING));
    case Happening::kMergedSucceeded:
      return EndAs(job, JobIn(v1::SUCCEEDED), kNow);
    case Happening::kMergedFailed:
      return EndAs(job, JobIn(v1::FAILED), kNow);
    default:
      return EndAttempt(job, Report(NameOf(what)), {}, kNow);
  }
}

TEST(Lifecycle, EveryHappeningInEveryState) {
  using H = Happening;
  const std::map<std::pair<v1::JobState, H>, v1::JobState> legal = {
      {{v1::QUEUED, H::kLeased}, v1::RUNNING},
      {{v1::QUEUED, H::kCancelRequested}, v1::CANCELLED},
      {{v1::QUEUED, H::kDeadlinePassed}, v1::FAILED},
      {{v1::QUEUED, H::kLeft}, v1::CANCELLED},
      {{v1::QUEUED, H::kTookOver}, v1::RUNNING},
      {{v1::QUEUED, H::kMergedSucceeded}, v1::SUCCEEDED},
      {{v1::QUEUED, H::kMergedFailed}, v1::FAILED},
      {{v1::RUNNING, H::kStarted}, v1::RUNNING},
      {{v1::RUNNING, H::kCancelRequested}, v1::RUNNING},
      {{v1::RUNNING, H::kDeadlinePassed}, v1::RUNNING},
      {{v1::RUNNING, H::kLeft}, v1::CANCELLED},
      {{v1::RUNNING, H::kSucceeded}, v1::SUCCEEDED},
      {{v1::RUNNING, H::kFailed}, v1::FAILED},
      {{v1::RUNNING, H::kOutOfMemory}, v1::FAILED},
      {{v1::RUNNING, H::kCrashed}, v1::QUEUED},
      {{v1::RUNNING, H::kLost}, v1::QUEUED},
      {{v1::RUNNING, H::kPreempted}, v1::QUEUED},
      {{v1::RUNNING, H::kCancelled}, v1::QUEUED},  // nobody asked for it
  };
  for (v1::JobState state : {v1::QUEUED, v1::RUNNING, v1::SUCCEEDED, v1::FAILED, v1::CANCELLED}) {
    for (H what : {H::kLeased, H::kStarted, H::kCancelRequested, H::kDeadlinePassed, H::kLeft,
                   H::kTookOver, H::kMergedSucceeded, H::kMergedFailed, H::kSucceeded, H::kFailed,
                   H::kOutOfMemory, H::kCrashed, H::kLost, H::kPreempted, H::kCancelled}) {
      SCOPED_TRACE(absl::StrCat(v1::JobState_Name(state), ": ", NameOf(what)));
      v1::Job job = JobIn(state);
      const std::string before = job.SerializeAsString();
      const absl::Status status = Apply(job, what);
      auto expected = legal.find({state, what});
      if (expected != legal.end()) {
        ASSERT_OK(status);
        EXPECT_EQ(v1::JobState_Name(job.state()), v1::JobState_Name(expected->second));
      } else {
        EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                     HasSubstr(v1::JobState_Name(state))));
        EXPECT_EQ(job.SerializeAsString(), before);  // a refused step changes nothing
      }
    }
  }
}

// What a guard looks for, in the order of the table.
TEST(Lifecycle, HowAnAttemptEndsDependsOnWhatWasAskedAndOnWhatIsLeft) {
  struct Case {
    const char* outcome;
    google::rpc::Code code;
    bool cancel, late;
    int burned;  // before this one
    v1::JobState next;
  };
  const auto kInternal = google::rpc::INTERNAL, kUnavailable = google::rpc::UNAVAILABLE;
  for (const Case& c : {
           Case{"CRASHED", kInternal, false, false, 1, v1::QUEUED},
           Case{"CRASHED", kInternal, false, false, 2, v1::FAILED},
           Case{"CRASHED", kInternal, true, false, 0, v1::CANCELLED},
           Case{"CRASHED", kInternal, false, true, 0, v1::FAILED},
           Case{"LOST", kInternal, false, false, 2, v1::FAILED},
           Case{"LOST", kInternal, true, true, 0, v1::CANCELLED},
           Case{"LOST", kInternal, false, true, 0, v1::FAILED},
           Case{"FAILED", kUnavailable, false, false, 1, v1::QUEUED},
           Case{"FAILED", kUnavailable, false, false, 2, v1::FAILED},
           Case{"FAILED", kUnavailable, true, false, 0, v1::CANCELLED},
           Case{"FAILED", kUnavailable, false, true, 0, v1::FAILED},
           Case{"FAILED", kInternal, false, false, 0, v1::FAILED},
           Case{"OUT_OF_MEMORY", kInternal, false, false, 0, v1::FAILED},
           Case{"PREEMPTED", kInternal, false, false, 2, v1::QUEUED},
           Case{"PREEMPTED", kInternal, true, false, 0, v1::CANCELLED},
           Case{"PREEMPTED", kInternal, false, true, 0, v1::FAILED},
           Case{"CANCELLED", kInternal, false, false, 2, v1::QUEUED},
           Case{"CANCELLED", kInternal, true, false, 0, v1::CANCELLED},
           Case{"CANCELLED", kInternal, false, true, 0, v1::FAILED},
           Case{"SUCCEEDED", kInternal, true, true, 2, v1::SUCCEEDED},
       }) {
    SCOPED_TRACE(absl::StrCat(c.outcome, " ", c.cancel, c.late, " after ", c.burned));
    v1::Job job = JobIn(v1::QUEUED);
    for (int i = 0; i < c.burned; ++i) RunAttempt(job, "CRASHED");
    ASSERT_OK(Lease(job, "w/cpu", {}, kNow));
    if (c.cancel) {
      ASSERT_OK(Stop(job, Happening::kCancelRequested, false, kNow));
    }
    if (c.late) {
      ASSERT_OK(Stop(job, Happening::kDeadlinePassed, false, kNow));
    }
    ASSERT_OK(EndAttempt(job, Report(c.outcome, "why", c.code), {}, kNow));
    EXPECT_EQ(v1::JobState_Name(job.state()), v1::JobState_Name(c.next));
    if (c.next == v1::CANCELLED) {
      EXPECT_EQ(job.error().code(), google::rpc::CANCELLED);
    }
    if (c.next == v1::FAILED && c.late) {
      EXPECT_EQ(job.error().code(), google::rpc::DEADLINE_EXCEEDED);
    }
  }
}

TEST(Lifecycle, EveryRowCanBeReached) {
  // A row behind another of the same state and happening without a guard would never decide.
  std::set<std::pair<v1::JobState, Happening>> decided;
  for (const Transition& row : Transitions()) {
    EXPECT_FALSE(decided.contains({row.from, row.what}))
        << v1::JobState_Name(row.from) << " " << NameOf(row.what);
    if (row.guard == Guard::kAlways) decided.insert({row.from, row.what});
  }
}

TEST(Lifecycle, TheReadmeShowsTheTable) {
  std::string table;
  for (const Transition& row : Transitions()) {
    absl::StrAppend(&table, "| ", v1::JobState_Name(row.from), " | ", NameOf(row.what), " | ",
                    NameOf(row.guard), " | ", v1::JobState_Name(row.to), " | ", row.writes, " |\n");
  }
  ASSERT_OK_AND_ASSIGN(std::string readme, ReadFile("server/jobs/README.md", 1 << 20));
  EXPECT_THAT(readme, HasSubstr(table));
}

TEST(Lifecycle, SuccessTakesTheResultOver) {
  v1::Job job = JobIn(v1::QUEUED);
  v1::Engine engine;
  engine.set_build("b");
  ASSERT_OK(Lease(job, "w/cpu", engine, kNow));
  ASSERT_OK(Start(job, kNow, kNow + absl::Seconds(1)));
  v1::AttemptReport report = Report("SUCCEEDED");
  report.set_peak_host_bytes(5);
  v1::ArtifactFile& file = *report.add_result();
  file.set_name("result.json");
  file.mutable_blob()->set_sha256(Sha256Hex("{}"));
  ASSERT_OK(EndAttempt(job, report, {}, kNow + absl::Seconds(2)));
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
  EXPECT_EQ(job.attempts(0).fetch_time().seconds(), absl::ToUnixSeconds(kNow));
  EXPECT_EQ(job.attempts(0).start_time().seconds(), absl::ToUnixSeconds(kNow) + 1);
  EXPECT_EQ(job.attempts(0).peak_host_bytes(), 5);
}

TEST(Lifecycle, AFailureIsTheJobsOwnAndSaysWhatWouldHelp) {
  v1::Job job = JobIn(v1::RUNNING);
  v1::AttemptReport report =
      Report("OUT_OF_MEMORY", "needs 9 bytes, 5 are free", google::rpc::RESOURCE_EXHAUSTED);
  report.set_help("lower rows");
  report.set_needed_bytes(9);
  report.set_available_bytes(5);
  ASSERT_OK(EndAttempt(job, report, {}, kNow));
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(job.error().code(), google::rpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(job.error().message(), "needs 9 bytes, 5 are free");
  EXPECT_EQ(job.attempts(0).outcome(), "OUT_OF_MEMORY");
  EXPECT_EQ(job.attempts(0).help(), "lower rows");
  EXPECT_EQ(job.attempts(0).needed_bytes(), 9);
  EXPECT_EQ(job.attempts(0).available_bytes(), 5);
}

TEST(Lifecycle, CrashesAndLossesAreCountedPreemptionsAreNot) {
  v1::Job job = JobIn(v1::QUEUED);
  RunAttempt(job, "CRASHED");
  for (int i = 0; i < 5; ++i) RunAttempt(job, "PREEMPTED");
  RunAttempt(job, "LOST");
  EXPECT_EQ(job.state(), v1::QUEUED);
  RunAttempt(job, "CRASHED", "signal 9");
  EXPECT_EQ(job.state(), v1::FAILED);
  EXPECT_EQ(job.error().message(), "given up after 3 attempts; the last: signal 9");
  EXPECT_TRUE(job.has_end_time());
  v1::Job patient = JobIn(v1::QUEUED);
  patient.set_max_attempts(5);
  for (int i = 0; i < 4; ++i) RunAttempt(patient, "CRASHED");
  EXPECT_EQ(patient.state(), v1::QUEUED);
  v1::Job hasty = JobIn(v1::QUEUED);
  hasty.set_max_attempts(1);
  RunAttempt(hasty, "LOST");
  EXPECT_EQ(hasty.state(), v1::FAILED);
}

TEST(Lifecycle, PreemptionsAreNotBoundedTheRecordIs) {
  v1::Job job = JobIn(v1::QUEUED);
  RunAttempt(job, "CRASHED");
  for (int i = 0; i < 2 * kAttemptsKeptMax; ++i) RunAttempt(job, "PREEMPTED");
  EXPECT_EQ(job.state(), v1::QUEUED);
  EXPECT_EQ(job.attempts_size(), kAttemptsKeptMax);
  EXPECT_EQ(job.attempts(0).outcome(), "CRASHED");  // what counts is kept
  EXPECT_EQ(job.attempts().rbegin()->number(), 2 * kAttemptsKeptMax + 1);
}

TEST(Lifecycle, TheBackoffDoublesUpToItsMostAndDiffersBetweenJobs) {
  const Backoff backoff{.base = absl::Seconds(1), .max = absl::Seconds(10)};
  std::set<absl::Duration> waits;
  for (const char* id : {"a", "b", "c"}) {
    v1::Job job = JobIn(v1::QUEUED);
    job.set_id(id);
    job.set_max_attempts(20);
    EXPECT_EQ(BackoffAfter(job, backoff), absl::ZeroDuration());
    for (int n = 1; n <= 8; ++n) {
      RunAttempt(job, "CRASHED");
      const absl::Duration whole = std::min(backoff.max, backoff.base * (1 << (n - 1)));
      const absl::Duration wait = BackoffAfter(job, backoff);
      EXPECT_LE(wait, whole);
      EXPECT_GE(wait, whole / 2);
      EXPECT_TRUE(waits.insert(wait).second);
    }
  }
}

TEST(Lifecycle, GoingBackToTheQueueForgetsTheProgressAndWaitsAWhile) {
  v1::Job job = JobIn(v1::RUNNING);
  job.set_progress(0.7);
  job.set_phase("eigh");
  ASSERT_OK(EndAttempt(job, Report("CRASHED"), {}, kNow));
  EXPECT_EQ(job.progress(), 0);
  EXPECT_EQ(job.phase(), "");
  EXPECT_FALSE(job.has_error());
  EXPECT_TRUE(job.has_not_before());
  v1::Job preempted = JobIn(v1::RUNNING);
  ASSERT_OK(EndAttempt(preempted, Report("PREEMPTED"), {}, kNow));
  EXPECT_FALSE(preempted.has_not_before());
}

TEST(Lifecycle, AnAttemptThatTheDeadlineEndedSaysSo) {
  v1::Job job = JobIn(v1::RUNNING);
  ASSERT_OK(Stop(job, Happening::kDeadlinePassed, false, kNow));
  EXPECT_TRUE(job.deadline_exceeded());
  ASSERT_OK(EndAttempt(job, Report("CANCELLED"), {}, kNow));
  EXPECT_EQ(job.attempts(0).outcome(), "DEADLINE");
  EXPECT_EQ(job.state(), v1::FAILED);
}

TEST(Lifecycle, AMergedJobTakesTheRunOverOrEndsAsTheOtherDid) {
  v1::Job left = JobIn(v1::RUNNING);
  left.mutable_attempts(0)->set_slot("w/cpu");
  left.set_progress(0.5);
  v1::Job heir = JobIn(v1::QUEUED);
  heir.set_merged_into("j");
  ASSERT_OK(TakeOver(heir, left));
  EXPECT_EQ(heir.merged_into(), "");
  EXPECT_EQ(heir.attempts(0).slot(), "w/cpu");
  EXPECT_EQ(heir.progress(), 0.5);
  ASSERT_OK(Stop(left, Happening::kCancelRequested, /*work_goes_on=*/true, kNow));
  EXPECT_EQ(left.attempts(0).outcome(), "CANCELLED");

  v1::Job ended = JobIn(v1::SUCCEEDED);
  ended.set_result_digest("d");
  ended.add_result()->set_name("result.json");
  v1::Job merged = JobIn(v1::QUEUED);
  ASSERT_OK(EndAs(merged, ended, kNow));
  EXPECT_EQ(merged.result(0).name(), "result.json");
  EXPECT_EQ(merged.result_digest(), "d");
}

TEST(Lifecycle, StderrTailsAreCutBetweenCharacters) {
  v1::Job job = JobIn(v1::QUEUED);
  ASSERT_OK(Lease(job, "w/cpu", {}, kNow));
  v1::AttemptReport report = Report("CRASHED");
  report.set_stderr_tail(
      absl::StrCat("\xC3\xA9", std::string(kStderrTailBytesMax - 1, 'x')));  // an e acute
  ASSERT_OK(EndAttempt(job, report, {}, kNow));
  EXPECT_EQ(job.attempts(0).stderr_tail(), std::string(kStderrTailBytesMax - 1, 'x'));
  RunAttempt(job, "PREEMPTED");
  EXPECT_EQ(job.attempts(0).stderr_tail().size(), 4096u);  // only the last attempt keeps all
}

TEST(Lifecycle, OutcomesAreWords) {
  ASSERT_OK_AND_ASSIGN(Happening what, ParseOutcome("PREEMPTED"));
  EXPECT_EQ(what, Happening::kPreempted);
  for (const char* word : {"", "succeeded", "leased", "DEADLINE", "?"}) {
    EXPECT_THAT(ParseOutcome(word), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(word)));
  }
}

}  // namespace
}  // namespace radiograph
