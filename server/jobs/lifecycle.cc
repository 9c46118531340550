#include "server/jobs/lifecycle.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/results/bundle.h"
#include "google/rpc/code.pb.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

using H = Happening;
using G = Guard;

constexpr char kAnAttempt[] = "a new attempt: slot, engine, times; the lease token";
constexpr char kEnd[] = "error, end_time";
constexpr char kEndOfBoth[] = "end of the attempt; error, end_time";
constexpr char kAgain[] = "end of the attempt; not_before: now + back-off";

constexpr Transition kTransitions[] = {
    {v1::QUEUED, H::kLeased, G::kAlways, v1::RUNNING, kAnAttempt},
    {v1::QUEUED, H::kCancelRequested, G::kAlways, v1::CANCELLED, kEnd},
    {v1::QUEUED, H::kDeadlinePassed, G::kAlways, v1::FAILED, kEnd},
    {v1::QUEUED, H::kTookOver, G::kAlways, v1::RUNNING, "the other's attempts and lease token"},
    {v1::QUEUED, H::kMergedSucceeded, G::kAlways, v1::SUCCEEDED,
     "the other's attempts and result; end_time"},
    {v1::QUEUED, H::kMergedFailed, G::kAlways, v1::FAILED,
     "the other's attempts and error; end_time"},
    {v1::RUNNING, H::kStarted, G::kAlways, v1::RUNNING, "fetch_time and start_time of the attempt"},
    {v1::RUNNING, H::kProgressed, G::kAlways, v1::RUNNING, "progress, phase"},
    {v1::RUNNING, H::kCancelRequested, G::kAlways, v1::RUNNING,
     "cancel_requested; the slot is told to stop"},
    {v1::RUNNING, H::kDeadlinePassed, G::kAlways, v1::RUNNING,
     "deadline_exceeded; the slot is told to stop"},
    {v1::RUNNING, H::kLeft, G::kLate, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kLeft, G::kAlways, v1::CANCELLED, kEndOfBoth},
    {v1::RUNNING, H::kSucceeded, G::kAlways, v1::SUCCEEDED,
     "end of the attempt; result, result_digest, end_time"},
    {v1::RUNNING, H::kOutOfMemory, G::kAlways, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kFailed, G::kCancelAsked, v1::CANCELLED, kEndOfBoth},
    {v1::RUNNING, H::kFailed, G::kLate, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kFailed, G::kTransient, v1::QUEUED, kAgain},
    {v1::RUNNING, H::kFailed, G::kAlways, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kCrashed, G::kCancelAsked, v1::CANCELLED, kEndOfBoth},
    {v1::RUNNING, H::kCrashed, G::kLate, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kCrashed, G::kAttemptsLeft, v1::QUEUED, kAgain},
    {v1::RUNNING, H::kCrashed, G::kAlways, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kLost, G::kCancelAsked, v1::CANCELLED, kEndOfBoth},
    {v1::RUNNING, H::kLost, G::kLate, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kLost, G::kAttemptsLeft, v1::QUEUED, kAgain},
    {v1::RUNNING, H::kLost, G::kAlways, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kPreempted, G::kCancelAsked, v1::CANCELLED, kEndOfBoth},
    {v1::RUNNING, H::kPreempted, G::kLate, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kPreempted, G::kAlways, v1::QUEUED, "end of the attempt; none is burned"},
    {v1::RUNNING, H::kCancelled, G::kCancelAsked, v1::CANCELLED, kEndOfBoth},
    {v1::RUNNING, H::kCancelled, G::kLate, v1::FAILED, kEndOfBoth},
    {v1::RUNNING, H::kCancelled, G::kAlways, v1::QUEUED, "end of the attempt; none is burned"},
};

template <typename T>
struct Named {
  T what;
  const char* name;
};
constexpr Named<Happening> kHappenings[] = {
    {H::kLeased, "leased"},
    {H::kStarted, "started"},
    {H::kProgressed, "progressed"},
    {H::kCancelRequested, "cancel requested"},
    {H::kDeadlinePassed, "deadline passed"},
    {H::kLeft, "left to a merged job"},
    {H::kTookOver, "took over"},
    {H::kMergedSucceeded, "merged work succeeded"},
    {H::kMergedFailed, "merged work failed"},
    {H::kSucceeded, "SUCCEEDED"},
    {H::kFailed, "FAILED"},
    {H::kOutOfMemory, "OUT_OF_MEMORY"},
    {H::kCrashed, "CRASHED"},
    {H::kLost, "LOST"},
    {H::kPreempted, "PREEMPTED"},
    {H::kCancelled, "CANCELLED"},
};
constexpr Named<Guard> kGuards[] = {
    {G::kAlways, ""},
    {G::kCancelAsked, "cancel requested"},
    {G::kLate, "deadline passed"},
    {G::kTransient, "UNAVAILABLE, attempts left"},
    {G::kAttemptsLeft, "attempts left"},
};

template <typename T, size_t n>
const char* FindName(const Named<T> (&names)[n], T what) {
  for (const Named<T>& entry : names) {
    if (entry.what == what) return entry.name;
  }
  return "?";
}

int BurnedAttempts(const v1::Job& job) {
  return static_cast<int>(std::count_if(job.attempts().begin(), job.attempts().end(), IsBurned));
}

bool Holds(Guard guard, const v1::Job& job, const google::rpc::Status& error) {
  const int max = job.max_attempts() > 0 ? job.max_attempts() : kMaxAttemptsDefault;
  const bool left = BurnedAttempts(job) + 1 < max;  // the open attempt isn't counted yet
  switch (guard) {
    case Guard::kAlways:
      return true;
    case Guard::kCancelAsked:
      return job.cancel_requested();
    case Guard::kLate:
      return job.deadline_exceeded();
    case Guard::kTransient:
      return error.code() == google::rpc::UNAVAILABLE && left;
    case Guard::kAttemptsLeft:
      return left;
  }
  return false;
}

absl::StatusOr<v1::JobState> NextState(const v1::Job& job, Happening what,
                                       const google::rpc::Status& error = {}) {
  for (const Transition& row : kTransitions) {
    if (row.from == job.state() && row.what == what && Holds(row.guard, job, error)) return row.to;
  }
  return absl::FailedPreconditionError(absl::StrCat("job ", job.id(), " is ",
                                                    v1::JobState_Name(job.state()), ": no '",
                                                    NameOf(what), "' for it"));
}

// The last `bytes_max` bytes, from the start of a character on.
std::string Tail(absl::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max) text.remove_prefix(text.size() - bytes_max);
  while (!text.empty() && (text.front() & 0xC0) == 0x80) text.remove_prefix(1);
  return std::string(text);
}

void SetError(v1::Job& job, google::rpc::Code code, std::string message) {
  job.mutable_error()->set_code(code);
  job.mutable_error()->set_message(std::move(message));
}

// The error of a job that ends without a result.
void SetEndError(v1::Job& job, Happening what, const google::rpc::Status& error) {
  if (job.state() == v1::CANCELLED) {
    return SetError(job, google::rpc::CANCELLED, "cancelled on request");
  }
  if (job.deadline_exceeded()) {
    return SetError(job, google::rpc::DEADLINE_EXCEEDED,
                    "the time-out given with the job was over before it ended");
  }
  *job.mutable_error() = error;
  if (error.code() == google::rpc::OK) job.mutable_error()->set_code(google::rpc::INTERNAL);
  if (error.message().empty()) {
    job.mutable_error()->set_message(absl::StrCat("the attempt ended ", NameOf(what)));
  }
  if (what != Happening::kFailed && what != Happening::kOutOfMemory) {
    job.mutable_error()->set_message(absl::StrCat("given up after ", BurnedAttempts(job),
                                                  " attempts; the last: ", job.error().message()));
  }
}

absl::StatusOr<std::string> DigestOf(const v1::AttemptReport& report) {
  std::vector<BundleFile> files;
  for (const v1::ArtifactFile& file : report.result()) {
    files.push_back({file.name(), file.blob().sha256()});
  }
  return ResultDigest(std::move(files));
}

void CloseAttempt(v1::Job& job, const v1::AttemptReport& report, absl::Time now) {
  constexpr size_t kOlderTailBytesMax = 4 << 10;
  for (v1::Attempt& older : *job.mutable_attempts()) {
    older.set_stderr_tail(Tail(older.stderr_tail(), kOlderTailBytesMax));
  }
  v1::Attempt& attempt = *job.mutable_attempts()->rbegin();
  *attempt.mutable_end_time() = ToTimestamp(now);
  attempt.set_outcome(report.outcome());
  if (report.outcome() == "CANCELLED" && !job.cancel_requested()) {  // its slot does not know why
    attempt.set_outcome(job.deadline_exceeded() ? "DEADLINE" : "PREEMPTED");
  }
  if (report.has_error()) *attempt.mutable_error() = report.error();
  attempt.set_help(report.help());
  attempt.set_needed_bytes(report.needed_bytes());
  attempt.set_available_bytes(report.available_bytes());
  attempt.set_stderr_tail(Tail(report.stderr_tail(), kStderrTailBytesMax));
  attempt.set_peak_host_bytes(report.peak_host_bytes());
  attempt.set_peak_device_bytes(report.peak_device_bytes());
}

// Preempted attempts are not bounded; the record is.
void ForgetOldAttempts(v1::Job& job) {
  auto& attempts = *job.mutable_attempts();
  for (int i = 0; i < attempts.size() && attempts.size() >= kAttemptsKeptMax;) {
    if (IsBurned(attempts[i])) {
      ++i;
    } else {
      attempts.DeleteSubrange(i, 1);
    }
  }
}

void BackToQueue(v1::Job& job, absl::Duration pause, absl::Time now) {
  job.set_progress(0);
  job.clear_phase();
  if (pause > absl::ZeroDuration()) *job.mutable_not_before() = ToTimestamp(now + pause);
}

}  // namespace

absl::Span<const Transition> Transitions() { return kTransitions; }
const char* NameOf(Happening what) { return FindName(kHappenings, what); }
const char* NameOf(Guard guard) { return FindName(kGuards, guard); }

bool IsFinal(v1::JobState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED || state == v1::CANCELLED;
}

bool IsBurned(const v1::Attempt& attempt) {
  return attempt.outcome() == "CRASHED" || attempt.outcome() == "LOST" ||
         (attempt.outcome() == "FAILED" && attempt.error().code() == google::rpc::UNAVAILABLE);
}

absl::Duration BackoffAfter(const v1::Job& job, const Backoff& backoff) {
  constexpr int kDoublingsMax = 30;
  const int burned = BurnedAttempts(job);
  if (burned == 0) return absl::ZeroDuration();
  const std::string digest = Sha256Hex(absl::StrCat(job.id(), " ", burned));
  uint32_t bits = 0;
  (void)absl::SimpleHexAtoi(digest.substr(0, 8), &bits);  // digits, eight of them
  const double chance = bits / 0x1p32;
  const absl::Duration whole =
      std::min(backoff.max, backoff.base * (1LL << std::min(burned - 1, kDoublingsMax)));
  return whole * (1 - chance / 2);
}

absl::StatusOr<Happening> ParseOutcome(absl::string_view outcome) {
  for (const Named<Happening>& entry : kHappenings) {
    if (entry.what >= Happening::kSucceeded && outcome == entry.name) return entry.what;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("outcome '", outcome.substr(0, 80),
                   "' is none of SUCCEEDED, FAILED, OUT_OF_MEMORY, CRASHED, PREEMPTED, CANCELLED"));
}

v1::JobEvent EventOf(const v1::Job& job, absl::Time now, absl::string_view message) {
  v1::JobEvent event;
  *event.mutable_time() = ToTimestamp(now);
  event.set_state(job.state());
  event.set_progress(job.progress());
  event.set_phase(job.phase());
  event.set_message(std::string(message));
  if (!job.attempts().empty()) event.set_attempt(job.attempts().rbegin()->number());
  return event;
}

absl::Status Lease(v1::Job& job, const std::string& slot, const v1::Engine& engine,
                   absl::Time now) {
  ASSIGN_OR_RETURN(v1::JobState next, NextState(job, Happening::kLeased));
  job.set_state(next);
  ForgetOldAttempts(job);
  const int64_t number = job.attempts().empty() ? 1 : job.attempts().rbegin()->number() + 1;
  absl::Time queued = FromTimestamp(job.create_time());
  if (number > 1) queued = FromTimestamp(job.attempts().rbegin()->end_time());
  if (job.has_not_before()) queued = std::max(queued, FromTimestamp(job.not_before()));
  v1::Attempt& attempt = *job.add_attempts();
  attempt.set_number(number);
  attempt.set_slot(slot);
  *attempt.mutable_engine() = engine;
  *attempt.mutable_queue_time() = ToTimestamp(queued);
  *attempt.mutable_lease_time() = ToTimestamp(now);
  return absl::OkStatus();
}

absl::Status Start(v1::Job& job, absl::Time fetching, absl::Time now) {
  RETURN_IF_ERROR(NextState(job, Happening::kStarted).status());
  v1::Attempt& attempt = *job.mutable_attempts()->rbegin();
  if (fetching > absl::InfinitePast()) *attempt.mutable_fetch_time() = ToTimestamp(fetching);
  *attempt.mutable_start_time() = ToTimestamp(now);
  return absl::OkStatus();
}

absl::Status Stop(v1::Job& job, Happening why, bool work_goes_on, absl::Time now) {
  RETURN_IF_ERROR(NextState(job, why).status());
  const bool leaves = job.state() == v1::RUNNING && work_goes_on;
  if (why == Happening::kCancelRequested) job.set_cancel_requested(true);
  if (why == Happening::kDeadlinePassed) job.set_deadline_exceeded(true);
  ASSIGN_OR_RETURN(v1::JobState next, NextState(job, leaves ? Happening::kLeft : why));
  job.set_state(next);
  if (!IsFinal(next)) return absl::OkStatus();
  if (leaves) {
    v1::AttemptReport report;
    report.set_outcome("CANCELLED");
    CloseAttempt(job, report, now);
  }
  job.clear_merged_into();
  SetEndError(job, why, {});
  *job.mutable_end_time() = ToTimestamp(now);
  return absl::OkStatus();
}

absl::Status EndAttempt(v1::Job& job, const v1::AttemptReport& report, const Backoff& backoff,
                        absl::Time now) {
  ASSIGN_OR_RETURN(Happening what, ParseOutcome(report.outcome()));
  ASSIGN_OR_RETURN(v1::JobState next, NextState(job, what, report.error()));
  if (next == v1::SUCCEEDED) {
    ASSIGN_OR_RETURN(std::string digest, DigestOf(report));
    job.set_result_digest(digest);
    *job.mutable_result() = report.result();
    job.set_progress(1);
  }
  CloseAttempt(job, report, now);
  job.set_state(next);
  if (next == v1::QUEUED) {
    const bool burned = IsBurned(*job.attempts().rbegin());
    BackToQueue(job, burned ? BackoffAfter(job, backoff) : absl::ZeroDuration(), now);
    return absl::OkStatus();
  }
  if (next != v1::SUCCEEDED) SetEndError(job, what, report.error());
  *job.mutable_end_time() = ToTimestamp(now);
  return absl::OkStatus();
}

absl::Status TakeOver(v1::Job& job, const v1::Job& left) {
  ASSIGN_OR_RETURN(v1::JobState next, NextState(job, Happening::kTookOver));
  job.set_state(next);
  job.clear_merged_into();
  *job.mutable_attempts() = left.attempts();
  job.set_progress(left.progress());
  job.set_phase(left.phase());
  return absl::OkStatus();
}

absl::Status EndAs(v1::Job& job, const v1::Job& ended, absl::Time now) {
  const bool succeeded = ended.state() == v1::SUCCEEDED;
  ASSIGN_OR_RETURN(v1::JobState next, NextState(job, succeeded ? Happening::kMergedSucceeded
                                                               : Happening::kMergedFailed));
  job.set_state(next);
  job.clear_merged_into();
  *job.mutable_attempts() = ended.attempts();
  *job.mutable_result() = ended.result();
  job.set_result_digest(ended.result_digest());
  if (!succeeded) *job.mutable_error() = ended.error();
  if (succeeded) job.set_progress(1);
  *job.mutable_end_time() = ToTimestamp(now);
  return absl::OkStatus();
}

}  // namespace radiograph
