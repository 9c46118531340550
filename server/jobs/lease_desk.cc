// The life of a lease: renewal, progress, end. How a slot gets one is in lease_desk_queue.cc, what
// is known about slots in lease_desk_slots.cc.
#include "server/jobs/lease_desk.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/log.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "google/rpc/code.pb.h"
#include "server/jobs/lifecycle.h"
#include "server/jobs/merging.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

// A cancel is told again after this long: the answer that told it may have been lost.
constexpr absl::Duration kCancelRepeat = absl::Seconds(1);
// When an end could not be stored (a full disk), it is tried again after this long.
constexpr absl::Duration kEndRetry = absl::Seconds(1);

// 0 for NaN.
double ProgressFraction(const v1::SlotProgress& progress) {
  return progress.fraction() > 0 ? std::min(progress.fraction(), 1.0) : 0.0;
}

v1::AttemptReport Report(const char* outcome, std::string message) {
  v1::AttemptReport report;
  report.set_outcome(outcome);
  report.mutable_error()->set_code(google::rpc::ABORTED);
  report.mutable_error()->set_message(std::move(message));
  return report;
}

}  // namespace

LeaseDesk::LeaseDesk(const JobsOptions& options, JobStore* store, const Clock* clock,
                     Errands* errands, OnChanged on_changed)
    : options_(options),
      store_(store),
      clock_(clock),
      errands_(errands),
      on_changed_(std::move(on_changed)) {}

void LeaseDesk::Restore(const JobRow& row, std::string request) {
  absl::MutexLock lock(&mu_);
  OpenLease& lease = leases_[row.lease_token];
  lease.lease = LeaseMessage(row, std::move(request), options_.lease_term);
  lease.slot = row.job.attempts().rbegin()->slot();
  lease.tenant = row.job.tenant();
  ++running_[lease.tenant];
  lease.started = row.job.attempts().rbegin()->has_start_time();
  lease.cancel = row.job.cancel_requested() || row.job.deadline_exceeded();
  lease.expiry = clock_->Monotonic() + options_.lease_term;
  WatchExpiry(lease, lease.expiry);
}

JobStore::Done LeaseDesk::Counted(JobStore::Done done) {
  ++writes_;
  return [self = shared_from_this(), done = std::move(done)](JobStore::Changes changes) {
    done(std::move(changes));
    absl::MutexLock lock(&self->mu_);
    --self->writes_;
  };
}

// --- Progress ---

void LeaseDesk::HearHolder(OpenLease& lease, const v1::SynchronizeRequest& request) {
  const absl::Duration now = clock_->Monotonic();
  lease.expiry = now + options_.lease_term;
  if (lease.ending) return;
  if (request.state() == v1::FETCHING && lease.fetching == absl::InfinitePast()) {
    lease.fetching = clock_->Now();
  }
  if (request.state() == v1::DONE) {
    End(lease, request.report());
    return;
  }
  const v1::SlotProgress& progress = request.progress();
  const bool starts = progress.started() && !lease.started;
  lease.moved = lease.moved || progress.fraction() != lease.progress.fraction() ||
                progress.phase() != lease.progress.phase() ||
                progress.message() != lease.progress.message();
  lease.progress = progress;
  if (starts) {
    lease.started = true;
    return StoreProgress(lease, true);
  }
  if (lease.moved) StoreProgressInTime(lease);
}

// At most once in an interval; what comes too early is stored at its end, if nothing newer has
// come.
void LeaseDesk::StoreProgressInTime(OpenLease& lease) {
  const absl::Duration due = lease.progress_stored + options_.progress_interval;
  if (clock_->Monotonic() >= due) return StoreProgress(lease, false);
  if (lease.progress_timer) return;
  lease.progress_timer =
      errands_->PostAt(due, [weak = weak_from_this(), token = lease.lease.token()] {
        if (auto desk = weak.lock()) desk->ProgressIsDue(token);
      });
}

void LeaseDesk::ProgressIsDue(const std::string& token) {
  absl::MutexLock lock(&mu_);
  auto found = leases_.find(token);
  if (shut_down_ || found == leases_.end()) return;
  found->second.progress_timer.reset();
  if (found->second.moved && !found->second.ending) StoreProgressInTime(found->second);
}

void LeaseDesk::StoreProgress(OpenLease& lease, bool started) {
  lease.progress_stored = clock_->Monotonic();
  lease.moved = false;
  auto store = [this, token = lease.lease.token(), progress = lease.progress, started,
                fetching = lease.fetching](JobTransaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(JobRow row, transaction.GetLeased(token));
    const absl::Time now = clock_->Now();
    if (started) RETURN_IF_ERROR(Start(row.job, fetching, now));
    row.job.set_progress(ProgressFraction(progress));
    row.job.set_phase(progress.phase());
    v1::JobEvent event = EventOf(row.job, now, started ? "started" : progress.message());
    return transaction.Put(std::move(row), std::move(event));
  };
  store_->Transact(
      std::move(store), Counted([this](JobStore::Changes changes) {
        if (changes.ok()) return on_changed_(*changes);
        Log(LogLevel::kWarning, "progress_not_stored", {{"reason", changes.status().message()}});
      }));
}

// --- End ---

void LeaseDesk::End(OpenLease& lease, v1::AttemptReport report) {
  lease.ending = true;
  const std::string token = lease.lease.token();
  const std::string outcome = report.outcome();
  const bool sick = outcome == "CRASHED" ||
                    (outcome == "FAILED" && report.error().code() == google::rpc::UNAVAILABLE);
  auto end = [this, token,
              report = std::move(report)](JobTransaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(JobRow row, transaction.GetLeased(token));
    return EndLeased(transaction, std::move(row), report, options_.backoff, clock_->Now());
  };
  store_->Transact(std::move(end), Counted([this, token, outcome, sick](JobStore::Changes changes) {
                     Ended(token, outcome, sick, std::move(changes));
                   }));
}

void LeaseDesk::Ended(const std::string& token, const std::string& outcome, bool sick,
                      JobStore::Changes changes) {
  {
    absl::MutexLock lock(&mu_);
    OpenLease& lease = leases_.at(token);
    Slot* slot = nullptr;
    if (auto found = slots_.find(lease.slot); found != slots_.end()) slot = &found->second;
    const bool holds = slot != nullptr && slot->token == token;
    if (changes.ok() || absl::IsAborted(changes.status()) || absl::IsNotFound(changes.status())) {
      if (slot != nullptr) NoteEnd(*slot, lease.lease.job(), outcome, sick);
      if (holds) slot->token.clear();
      if (lease.timer) errands_->Cancel(*lease.timer);
      --running_[lease.tenant];
      leases_.erase(token);
    } else {  // not stored: the slot may mend its report, else it is lost when its time is over
      lease.ending = false;
      if (holds && slot->poll != nullptr) slot->poll->Reply(changes.status());
      WatchExpiry(lease, std::max(lease.expiry, clock_->Monotonic() + kEndRetry));
    }
    if (holds) Settle(*slot);
  }
  if (changes.ok()) on_changed_(*changes);
}

void LeaseDesk::WatchExpiry(OpenLease& lease, absl::Duration when) {
  if (lease.timer) errands_->Cancel(*lease.timer);
  lease.timer = errands_->PostAt(when, [weak = weak_from_this(), token = lease.lease.token()] {
    if (auto desk = weak.lock()) desk->LeaseMayBeOver(token);
  });
}

void LeaseDesk::LeaseMayBeOver(const std::string& token) {
  absl::MutexLock lock(&mu_);
  auto found = leases_.find(token);
  if (shut_down_ || found == leases_.end() || found->second.ending) return;
  OpenLease& lease = found->second;
  if (clock_->Monotonic() < lease.expiry)
    return WatchExpiry(lease, lease.expiry);  // it was renewed
  End(lease, Report("LOST", absl::StrCat("nothing was heard of slot ", lease.slot, " for ",
                                         absl::FormatDuration(options_.lease_term))));
}

void LeaseDesk::StopRequested(const std::string& job) {
  absl::MutexLock lock(&mu_);
  for (auto& [token, lease] : leases_) {
    if (lease.lease.job() != job) continue;
    lease.cancel = true;
    if (auto slot = slots_.find(lease.slot); slot != slots_.end()) Settle(slot->second);
  }
}

void LeaseDesk::TookOver(const JobRow& row) {
  absl::MutexLock lock(&mu_);
  auto found = leases_.find(row.lease_token);
  if (found == leases_.end()) return;
  found->second.lease.set_job(row.job.id());
}

// --- Polls ---

// What a slot's words mean for its lease. Only called when they are new.
void LeaseDesk::Hear(Slot& slot) {
  const v1::SynchronizeRequest& request = slot.last;
  if (slot.token.empty()) {  // a lease from before this server's start, perhaps
    for (const auto& [token, lease] : leases_) {
      if (lease.slot == request.slot()) slot.token = token;
    }
  }
  OpenLease* lease = LeaseOf(slot);
  if (lease == nullptr || lease->ending) return;
  if (request.state() != v1::IDLE) {
    if (request.lease_token() != slot.token) return;
    lease->incarnation = request.incarnation();
    return HearHolder(*lease, request);
  }
  if (!lease->incarnation.empty() && lease->incarnation != request.incarnation()) {
    End(*lease,
        Report("LOST", absl::StrCat("the worker of slot ", request.slot(), " was started again")));
  } else if (request.draining()) {
    End(*lease, Report("PREEMPTED", absl::StrCat("slot ", request.slot(), " takes no more work")));
  } else {
    lease->incarnation = request.incarnation();
    lease->expiry = clock_->Monotonic() + options_.lease_term;
  }
}

std::optional<v1::SynchronizeResponse> LeaseDesk::Decide(Slot& slot) {
  const v1::SynchronizeRequest& request = slot.last;
  OpenLease* lease = LeaseOf(slot);
  if (lease != nullptr && lease->ending) return std::nullopt;
  v1::SynchronizeResponse response;
  response.set_desired(v1::IDLE);
  if (request.state() == v1::IDLE && lease == nullptr) {
    if (!slot.claiming && !slot.late && TakesWork(slot)) Claim(slot);
    return slot.late && !slot.claiming ? std::optional(response) : std::nullopt;
  }
  if (lease == nullptr || (request.state() != v1::IDLE && request.lease_token() != slot.token))
    return response;
  response.set_desired(v1::BUSY);
  if (request.state() == v1::IDLE) {
    *response.mutable_lease() = lease->lease;
    response.set_cancel(lease->cancel);
    return response;
  }
  const absl::Duration now = clock_->Monotonic();
  const bool tell_cancel = lease->cancel && now - lease->cancel_told >= kCancelRepeat;
  if (!tell_cancel && !slot.late) return std::nullopt;
  if (lease->cancel) lease->cancel_told = now;
  response.set_cancel(lease->cancel);
  response.mutable_lease()->set_token(lease->lease.token());
  response.mutable_lease()->set_job(lease->lease.job());
  response.mutable_lease()->set_attempt(lease->lease.attempt());
  *response.mutable_lease()->mutable_term() = lease->lease.term();
  return response;
}

void LeaseDesk::Settle(Slot& slot) {
  if (slot.poll == nullptr || slot.poll->answered()) return;
  if (std::optional<v1::SynchronizeResponse> response = Decide(slot))
    slot.poll->Reply(*std::move(response));
}

absl::Duration LeaseDesk::AnswerBy(const Slot& slot) {
  const absl::Duration now = clock_->Monotonic();
  if (slot.last.answer_now()) return now;
  const absl::Duration in_time = now + options_.lease_term / 3;
  const OpenLease* lease = LeaseOf(slot);
  if (lease == nullptr || !lease->cancel) return in_time;
  return std::clamp(lease->cancel_told + kCancelRepeat, now, in_time);
}

void LeaseDesk::Synchronize(v1::SynchronizeRequest request, bool embedded, std::stop_token stop,
                            Jobs::SynchronizeDone done) {
  auto poll = std::make_shared<Poll>(errands_, std::move(done));
  absl::MutexLock lock(&mu_);
  if (absl::Status admitted = Admit(request); !admitted.ok()) {
    poll->Reply(admitted);
    return;
  }
  const std::string name = request.slot();
  Slot& slot = slots_[name];
  if (slot.poll != nullptr) {
    slot.poll->Reply(
        absl::AbortedError(absl::StrCat("a newer call of slot ", name, " took its place")));
  }
  slot.last = std::move(request);
  slot.embedded = embedded;
  slot.seen = clock_->Monotonic();
  slot.poll = poll;
  slot.late = false;
  Hear(slot);
  poll->Arm(
      AnswerBy(slot),
      [weak = weak_from_this(), name, poll = std::weak_ptr<Poll>(poll)] {
        if (auto desk = weak.lock()) desk->PollIsLate(name, poll);
      },
      std::move(stop), absl::CancelledError("the call was given up"));
  Settle(slot);
}

void LeaseDesk::PollIsLate(const std::string& name, const std::weak_ptr<Poll>& poll) {
  absl::MutexLock lock(&mu_);
  auto found = slots_.find(name);
  if (found == slots_.end() || found->second.poll != poll.lock()) return;
  found->second.late = true;
  Settle(found->second);
}

void LeaseDesk::Shutdown() {
  absl::MutexLock lock(&mu_);
  shut_down_ = true;
  for (auto& [name, slot] : slots_) {
    if (slot.poll != nullptr) slot.poll->Reply(absl::UnavailableError("the server stops"));
  }
  auto written = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return writes_ == 0; };
  mu_.Await(absl::Condition(&written));
}

}  // namespace radiograph
