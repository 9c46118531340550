// Following a job: Watch and Wait, which outlive broken streams and server restarts.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/cpp/client.h"
#include "client/cpp/session.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

// How long one Wait call may stay open: short enough for any proxy.
constexpr absl::Duration kWaitStep = absl::Seconds(20);
// Between two Wait calls, should a server answer them at once.
constexpr absl::Duration kAskPauseMin = absl::Milliseconds(100);

absl::Duration Now() { return SystemClock().Monotonic(); }

void SetDuration(absl::Duration from, google::protobuf::Duration* to) {
  absl::Duration rest;
  to->set_seconds(absl::IDivDuration(from, absl::Seconds(1), &rest));
  to->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

}  // namespace

bool HasEnded(v1::JobState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED || state == v1::CANCELLED;
}

absl::StatusOr<v1::Job> Client::WatchJob(absl::string_view id, int64_t after_sequence,
                                         absl::FunctionRef<void(const v1::JobEvent&)> on_event,
                                         std::stop_token stop) {
  v1::WatchJobRequest request;
  request.set_id(std::string(id));
  request.set_after_sequence(after_sequence);
  const ClientOptions& options = session_->options;
  Backoff backoff(options.retry, options.retry.stream_attempts_max);
  while (true) {
    CallContext context(options, options.stream_timeout, stop);
    auto reader = session_->jobs->Watch(context.get(), request);
    v1::JobEvent event;
    bool alive = false;
    while (reader->Read(&event)) {
      alive = true;
      // A heartbeat has no number; a server that repeats itself is not heard twice.
      if (event.sequence() <= request.after_sequence()) continue;
      request.set_after_sequence(event.sequence());
      backoff.Progress();
      on_event(event);
    }
    grpc::Status status = reader->Finish();
    // A quiet stream that lived until its deadline is as good as news.
    if (alive && status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) backoff.Progress();
    if (!status.ok() && !IsBrokenStream(status)) return session_->ToStatus(status, stop);
    if (stop.stop_requested()) return StoppedError();
    if (status.ok()) {
      ASSIGN_OR_RETURN(v1::Job job, GetJob(id));
      if (HasEnded(job.state())) return job;
      status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "its events end before the job does");
    }
    if (!backoff.Wait(status, stop)) return session_->ToStatus(status, stop);
  }
}

absl::StatusOr<v1::Job> Client::WaitJob(absl::string_view id, absl::Duration timeout,
                                        std::stop_token stop) {
  v1::WaitJobRequest request;
  request.set_id(std::string(id));
  const ClientOptions& options = session_->options;
  const absl::Duration deadline = Now() + timeout;
  Backoff backoff(options.retry, options.retry.stream_attempts_max);
  while (true) {
    const absl::Duration asked = Now();
    const absl::Duration step =
        std::clamp(deadline - asked, absl::ZeroDuration(), absl::Duration(kWaitStep));
    SetDuration(step, request.mutable_timeout());
    CallContext context(options, step + options.call_timeout, stop);
    v1::Job job;
    grpc::Status status = session_->jobs->Wait(context.get(), request, &job);
    if (status.ok()) {
      backoff.Progress();
      if (HasEnded(job.state())) return job;
      const absl::Duration now = Now();
      if (now < deadline) {
        Pause(std::min(deadline, asked + kAskPauseMin) - now, stop);
        continue;
      }
      return absl::DeadlineExceededError(
          absl::StrCat("job ", id, " is ", v1::JobState_Name(job.state()), " after ",
                       absl::FormatDuration(timeout), "; it goes on"));
    }
    if (!IsBrokenStream(status) || !backoff.Wait(status, stop)) {
      return session_->ToStatus(status, stop);
    }
  }
}

}  // namespace radiograph
