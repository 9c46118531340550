#include "server/worker/slot_link.h"

#include <algorithm>
#include <utility>

#include "core/base/address.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/moment.h"
#include "server/rpc/status.h"
#include "server/worker/blob_transfer.h"

namespace radiograph {
namespace {

// A poll without a lease: that the server is gone without a word is noticed after this.
constexpr absl::Duration kIdlePollMax = absl::Minutes(1);
// One that asks to be answered at once.
constexpr absl::Duration kAnswerNowMax = absl::Seconds(20);
constexpr absl::Duration kRetryPauseMin = absl::Milliseconds(50);
constexpr absl::Duration kRetryPauseMax = absl::Seconds(2);
constexpr absl::Duration kCancelPollPause = absl::Milliseconds(100);
// Between two polls of an idle slot, should a server answer them at once.
constexpr absl::Duration kIdlePollPauseMin = absl::Milliseconds(100);
constexpr int kRetryDoublingsMax = 8;
constexpr absl::Duration kLeaseTermMin = absl::Milliseconds(10);

absl::Duration Now() { return SystemClock().Monotonic(); }

absl::Duration TermOf(const v1::Lease& lease) {
  return std::max(kLeaseTermMin,
                  absl::Seconds(lease.term().seconds()) + absl::Nanoseconds(lease.term().nanos()));
}

// The server has understood the report and does not take it.
bool IsRefusal(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::INVALID_ARGUMENT ||
         status.error_code() == grpc::StatusCode::FAILED_PRECONDITION ||
         status.error_code() == grpc::StatusCode::NOT_FOUND;
}

}  // namespace

SlotLink::SlotLink(SlotLinkOptions options, std::shared_ptr<grpc::Channel> channel)
    : options_(std::move(options)),
      stub_(v1::Workers::NewStub(channel)),
      poller_([this] { Poll(); }) {}

SlotLink::~SlotLink() { Close(); }

void SlotLink::SetReady(v1::Engine engine, std::vector<v1::OfferedAnalysis> analyses,
                        int64_t memory_bytes) {
  absl::MutexLock lock(&mu_);
  engine_ = std::move(engine);
  analyses_ = std::move(analyses);
  memory_bytes_ = memory_bytes;
  ready_ = true;
}

void SlotLink::SetUnready() {
  absl::MutexLock lock(&mu_);
  ready_ = false;
  if (!held_.has_value()) Interrupt();
}

std::optional<SlotLink::Job> SlotLink::AwaitLease() {
  absl::MutexLock lock(&mu_);
  auto decided = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return at_rest_ || (held_.has_value() && !held_->taken);
  };
  mu_.Await(absl::Condition(&decided));
  if (at_rest_) return std::nullopt;
  held_->taken = true;
  return Job{held_->lease, held_->stop.get_token()};
}

void SlotLink::SetStarted() {
  absl::MutexLock lock(&mu_);
  if (!held_.has_value()) return;
  held_->state = v1::BUSY;
  held_->progress.set_started(true);
  answer_now_ = true;
  Interrupt();
}

void SlotLink::SetProgress(const v1::SlotProgress& progress) {
  absl::MutexLock lock(&mu_);
  if (!held_.has_value()) return;
  const bool started = held_->progress.started();
  held_->progress = progress;
  held_->progress.set_started(started);
  absl::Duration now = Now();
  // A server that lets even answer_now wait gets the time to answer before the lease runs out.
  bool fresh = now - held_->renewed < (held_->end - held_->renewed) / 2;
  if (fresh && now - held_->progress_told >= kProgressTellInterval) {
    answer_now_ = true;
    Interrupt();
  }
}

StopReason SlotLink::stop_reason() const {
  absl::MutexLock lock(&mu_);
  return held_.has_value() ? held_->stop_reason : StopReason::kLeaseLost;
}

void SlotLink::Report(v1::AttemptReport report) {
  absl::MutexLock lock(&mu_);
  if (!held_.has_value() || lost()) {
    held_.reset();
    return;
  }
  held_->state = v1::DONE;
  held_->report = std::move(report);
  Interrupt();
}

void SlotLink::Drain() {
  absl::MutexLock lock(&mu_);
  draining_ = true;
  answer_now_ = true;
  Interrupt();
}

void SlotLink::StopJob(StopReason reason) {
  absl::MutexLock lock(&mu_);
  Stop(reason);
}

void SlotLink::Close() {
  absl::MutexLock lock(&mu_);
  Rest();
  Stop(StopReason::kLeaseLost);
  Interrupt();
}

bool SlotLink::AwaitRest(absl::Duration timeout) const { return rest_.Wait(timeout); }

// Called with the lock held: what listens to the token only cancels a call or wakes a poll(2).
void SlotLink::Stop(StopReason reason) {
  if (!held_.has_value() || lost()) return;
  if (reason == StopReason::kLeaseLost) {
    if (!at_rest_) {
      Log(LogLevel::kWarning, "lease_lost", {{"slot", options_.slot}, {"job", held_->lease.job()}});
    }
    if (!held_->taken || held_->state == v1::DONE) {
      held_.reset();  // nobody works on it
      return;
    }
  } else if (held_->state == v1::DONE || held_->stop_reason != StopReason::kNone) {
    return;
  }
  held_->stop_reason = reason;
  held_->stop.request_stop();
}

void SlotLink::Interrupt() {
  news_.Set();
  if (call_ == nullptr || interrupted_) return;
  interrupted_ = true;
  call_->TryCancel();
}

void SlotLink::Poll() {
  while (true) {
    v1::SynchronizeRequest request;
    v1::SynchronizeResponse response;
    grpc::ClientContext context;
    if (!Prepare(request, context)) return;
    absl::Duration sent = Now();
    grpc::Status status = stub_->Synchronize(&context, request, &response);
    absl::MutexLock lock(&mu_);
    call_ = nullptr;
    if (status.ok()) {
      Answered(request, response, sent);
    } else {
      Failed(request, status);
    }
    if (draining_ && request.draining() && !held_.has_value()) Rest();
  }
}

void SlotLink::Rest() {
  at_rest_ = true;
  rest_.Set();
}

// Until the time is over or somebody calls Interrupt. Not with the lock's own time-outs: a jump of
// the wall clock would stretch them.
void SlotLink::Pause(absl::Duration time) {
  news_.Clear();
  mu_.Unlock();
  news_.Wait(time);
  mu_.Lock();
}

// Returns when there is something to say and the pause after a failure is over, or at rest.
void SlotLink::AwaitTurn() {
  while (!at_rest_) {
    auto has_words = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return at_rest_ || (held_.has_value() ? !lost() : ready_ || draining_);
    };
    mu_.Await(absl::Condition(&has_words));
    if (draining_ && !held_.has_value() && analyses_.empty()) Rest();  // never asked yet
    if (at_rest_) return;
    absl::Duration now = Now();
    if (held_.has_value() && now >= held_->end) {
      Stop(StopReason::kLeaseLost);
      continue;
    }
    absl::Duration wait = retry_at_ - now;
    if (held_.has_value()) wait = std::min(wait, held_->end - now);
    if (wait > absl::ZeroDuration()) {
      Pause(wait);
      continue;
    }
    // A poll is answered at once as long as the server wants a stop that takes its time.
    if (held_.has_value() && held_->stop_reason == StopReason::kCancelled &&
        held_->state != v1::DONE) {
      Pause(kCancelPollPause);
    }
    return;
  }
}

// False at rest.
bool SlotLink::Prepare(v1::SynchronizeRequest& request, grpc::ClientContext& context) {
  const int64_t free_cache_bytes = options_.free_cache_bytes();
  absl::MutexLock lock(&mu_);
  AwaitTurn();
  if (at_rest_) return false;
  request.set_protocol_version(kWorkersProtocolVersion);
  request.set_slot(options_.slot);
  request.set_incarnation(options_.incarnation);
  *request.mutable_engine() = engine_;
  request.mutable_analyses()->Assign(analyses_.begin(), analyses_.end());
  request.set_memory_bytes(memory_bytes_);
  request.set_free_cache_bytes(free_cache_bytes);
  request.set_draining(draining_ || !ready_);
  request.set_answer_now(std::exchange(answer_now_, false));
  absl::Duration now = Now();
  absl::Duration patience = request.answer_now() ? kAnswerNowMax : kIdlePollMax;
  if (held_.has_value()) {
    request.set_state(held_->state);
    request.set_lease_token(held_->lease.token());
    *request.mutable_progress() = held_->progress;
    if (held_->state == v1::DONE) *request.mutable_report() = held_->report;
    held_->progress_told = now;
    patience = held_->end - now;
  } else {
    request.set_state(v1::IDLE);
  }
  context.set_deadline(MomentIn(patience));
  Authorize(options_.token, context);
  call_ = &context;
  interrupted_ = false;
  return true;
}

void SlotLink::Answered(const v1::SynchronizeRequest& request,
                        const v1::SynchronizeResponse& response, absl::Duration sent) {
  if (failures_ > 0) options_.contact->Reached(options_.slot);
  failures_ = 0;
  const bool has_lease = response.desired() == v1::BUSY && response.has_lease();
  if (request.state() == v1::DONE) held_.reset();
  if (!held_.has_value()) {
    if (has_lease) return Take(response.lease(), sent);
    if (request.state() == v1::IDLE) retry_at_ = sent + kIdlePollPauseMin;
    return;
  }
  if (lost()) return;
  if (!has_lease || response.lease().token() != held_->lease.token()) {
    return Stop(StopReason::kLeaseLost);
  }
  held_->renewed = sent;
  held_->end = sent + TermOf(response.lease());
  if (response.cancel()) Stop(StopReason::kCancelled);
}

void SlotLink::Failed(const v1::SynchronizeRequest& request, const grpc::Status& status) {
  if (interrupted_) return;
  // A server of long leases lets an idle slot wait for longer. The next poll asks whether it is
  // there, and after an absence shows at once that it is back.
  answer_now_ = true;
  const bool may_be_there = request.state() == v1::IDLE && !request.answer_now() &&
                            status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  if (!may_be_there) {
    ++failures_;
    options_.contact->Missed(options_.slot, FromGrpc(status));
  }
  retry_at_ = Now() + std::min(kRetryPauseMax,
                               kRetryPauseMin * (1 << std::min(failures_, kRetryDoublingsMax)));
  if (request.state() == v1::DONE && held_.has_value() && IsRefusal(status)) {
    if (held_->report.outcome() == "SUCCEEDED") {
      held_->report.set_outcome("FAILED");
      held_->report.clear_result();
      *held_->report.mutable_error() = ToRpcStatus(FromGrpc(status));
    } else {
      held_.reset();  // its lease runs out
    }
  }
}

void SlotLink::Take(const v1::Lease& lease, absl::Duration sent) {
  held_ = Held();  // Clang 14 takes no emplace() here
  held_->lease = lease;
  held_->renewed = held_->progress_told = sent;
  held_->end = sent + TermOf(lease);
  if (draining_) {  // given before the server knew
    held_->taken = true;
    held_->state = v1::DONE;
    held_->report.set_outcome("PREEMPTED");
  }
}

}  // namespace radiograph
