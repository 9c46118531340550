#include "server/jobs/lifecycle.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/results/bundle.h"
#include "google/rpc/code.pb.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

struct Transition {
  v1::JobState from;
  Happening what;
  v1::JobState to;
};

// A transition back to QUEUED has exceptions: see NextState.
constexpr Transition kTransitions[] = {
    {v1::QUEUED, Happening::kLeased, v1::RUNNING},
    {v1::QUEUED, Happening::kCancelRequested, v1::CANCELLED},
    {v1::RUNNING, Happening::kCancelRequested, v1::RUNNING},
    {v1::RUNNING, Happening::kStarted, v1::RUNNING},
    {v1::RUNNING, Happening::kProgressed, v1::RUNNING},
    {v1::RUNNING, Happening::kSucceeded, v1::SUCCEEDED},
    {v1::RUNNING, Happening::kFailed, v1::FAILED},
    {v1::RUNNING, Happening::kCrashed, v1::QUEUED},
    {v1::RUNNING, Happening::kLost, v1::QUEUED},
    {v1::RUNNING, Happening::kPreempted, v1::QUEUED},
    {v1::RUNNING, Happening::kCancelled, v1::QUEUED},
};

struct HappeningName {
  Happening what;
  const char* name;
};
constexpr HappeningName kNames[] = {
    {Happening::kLeased, "LEASED"},       {Happening::kStarted, "STARTED"},
    {Happening::kProgressed, "PROGRESS"}, {Happening::kCancelRequested, "CANCEL_REQUESTED"},
    {Happening::kSucceeded, "SUCCEEDED"}, {Happening::kFailed, "FAILED"},
    {Happening::kCrashed, "CRASHED"},     {Happening::kLost, "LOST"},
    {Happening::kPreempted, "PREEMPTED"}, {Happening::kCancelled, "CANCELLED"},
};

const char* NameOf(Happening what) {
  for (const HappeningName& entry : kNames) {
    if (entry.what == what) return entry.name;
  }
  return "?";
}

bool IsCrash(absl::string_view outcome) { return outcome == "CRASHED" || outcome == "LOST"; }

// Where a job goes whose open attempt ends with `what` and without a result.
v1::JobState AfterLostAttempt(const v1::Job& job, Happening what) {
  if (job.cancel_requested()) return v1::CANCELLED;
  int64_t crashes = what == Happening::kCrashed || what == Happening::kLost ? 1 : 0;
  for (const v1::Attempt& attempt : job.attempts()) crashes += IsCrash(attempt.outcome());
  const bool enough = crashes >= kCrashesMax || job.attempts_size() >= kAttemptsMax;
  return enough ? v1::FAILED : v1::QUEUED;
}

// The last `bytes_max` bytes, from the start of a character on.
std::string Tail(absl::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max) text.remove_prefix(text.size() - bytes_max);
  while (!text.empty() && (text.front() & 0xC0) == 0x80) text.remove_prefix(1);
  return std::string(text);
}

google::rpc::Status ErrorOf(const v1::AttemptReport& report, absl::string_view otherwise) {
  google::rpc::Status error = report.error();
  if (error.code() == google::rpc::OK) error.set_code(google::rpc::INTERNAL);
  if (error.message().empty()) error.set_message(std::string(otherwise));
  return error;
}

void SetEnd(v1::Job& job, v1::JobState state, absl::Time now) {
  job.set_state(state);
  *job.mutable_end_time() = ToTimestamp(now);
}

void SetCancelled(v1::Job& job, absl::Time now) {
  job.mutable_error()->set_code(google::rpc::CANCELLED);
  job.mutable_error()->set_message("cancelled on request");
  SetEnd(job, v1::CANCELLED, now);
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
  if (report.has_error()) *attempt.mutable_error() = report.error();
  attempt.set_stderr_tail(Tail(report.stderr_tail(), kStderrTailBytesMax));
  attempt.set_peak_host_bytes(report.peak_host_bytes());
  attempt.set_peak_device_bytes(report.peak_device_bytes());
}

}  // namespace

bool IsFinal(v1::JobState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED || state == v1::CANCELLED;
}

absl::StatusOr<v1::JobState> NextState(const v1::Job& job, Happening what) {
  for (const Transition& transition : kTransitions) {
    if (transition.from != job.state() || transition.what != what) continue;
    return transition.to == v1::QUEUED ? AfterLostAttempt(job, what) : transition.to;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "job ", job.id(), " is ", v1::JobState_Name(job.state()), ": no ", NameOf(what), " for it"));
}

absl::StatusOr<Happening> ParseOutcome(absl::string_view outcome) {
  for (const HappeningName& entry : kNames) {
    if (entry.what >= Happening::kSucceeded && outcome == entry.name) return entry.what;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "outcome '", outcome, "' is none of SUCCEEDED, FAILED, CRASHED, PREEMPTED, CANCELLED"));
}

v1::JobEvent EventOf(const v1::Job& job, absl::Time now, absl::string_view message) {
  v1::JobEvent event;
  *event.mutable_time() = ToTimestamp(now);
  event.set_state(job.state());
  event.set_progress(job.progress());
  event.set_phase(job.phase());
  event.set_message(std::string(message));
  event.set_attempt(job.attempts_size());
  return event;
}

absl::Status Lease(v1::Job& job, const std::string& slot, const v1::Engine& engine,
                   absl::Time now) {
  ASSIGN_OR_RETURN(v1::JobState next, NextState(job, Happening::kLeased));
  job.set_state(next);
  const int64_t number = job.attempts_size() + 1;
  v1::Attempt& attempt = *job.add_attempts();
  attempt.set_number(number);
  attempt.set_slot(slot);
  *attempt.mutable_engine() = engine;
  *attempt.mutable_lease_time() = ToTimestamp(now);
  return absl::OkStatus();
}

absl::Status Start(v1::Job& job, absl::Time now) {
  RETURN_IF_ERROR(NextState(job, Happening::kStarted).status());
  *job.mutable_attempts()->rbegin()->mutable_start_time() = ToTimestamp(now);
  return absl::OkStatus();
}

absl::Status RequestCancel(v1::Job& job, absl::Time now) {
  ASSIGN_OR_RETURN(v1::JobState next, NextState(job, Happening::kCancelRequested));
  job.set_cancel_requested(true);
  if (next == v1::CANCELLED) SetCancelled(job, now);
  return absl::OkStatus();
}

absl::Status EndAttempt(v1::Job& job, const v1::AttemptReport& report, absl::Time now) {
  ASSIGN_OR_RETURN(Happening what, ParseOutcome(report.outcome()));
  ASSIGN_OR_RETURN(v1::JobState next, NextState(job, what));
  if (next == v1::SUCCEEDED) {
    ASSIGN_OR_RETURN(std::string digest, DigestOf(report));
    job.set_result_digest(digest);
    *job.mutable_result() = report.result();
    job.set_progress(1);
  }
  CloseAttempt(job, report, now);
  if (next == v1::QUEUED) {
    job.set_state(next);
    job.set_progress(0);
    job.clear_phase();
  } else if (next == v1::CANCELLED) {
    SetCancelled(job, now);
  } else {
    if (next == v1::FAILED)
      *job.mutable_error() = ErrorOf(report, absl::StrCat("the attempt ended ", report.outcome()));
    SetEnd(job, next, now);
  }
  if (next == v1::FAILED && what != Happening::kFailed) {
    job.mutable_error()->set_message(absl::StrCat("given up after ", job.attempts_size(),
                                                  " attempts; the last: ", job.error().message()));
  }
  return absl::OkStatus();
}

}  // namespace radiograph
