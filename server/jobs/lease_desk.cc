// The life of a lease: claim, renewal, progress, end. What is asked about slots is in
// lease_desk_slots.cc.
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
#include "server/store/messages.h"

namespace radiograph {
namespace {

// A cancel is told again after this long: the answer that told it may have been lost.
constexpr absl::Duration kCancelRepeat = absl::Seconds(1);
// When an end could not be stored (a full disk), it is tried again after this long.
constexpr absl::Duration kEndRetry = absl::Seconds(1);

// The compare-and-set of everything that a lease's holder does.
absl::Status CheckToken(const JobRow& row, const std::string& token) {
  if (row.job.state() == v1::RUNNING && row.lease_token == token) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat("the lease of job ", row.job.id(), " is no longer this slot's"));
}

// All files of all inputs, each blob once.
void AddBlobs(const v1::Job& job, v1::Lease& lease) {
  std::set<std::string> seen;
  for (const auto& [name, input] : job.inputs()) {
    for (const v1::Artifact& artifact : input.artifacts()) {
      for (const v1::ArtifactFile& file : artifact.files()) {
        if (seen.insert(file.blob().sha256()).second) *lease.add_blobs() = file;
      }
    }
  }
}

v1::Lease LeaseMessage(const JobRow& row, std::string request, absl::Duration term) {
  v1::Lease lease;
  lease.set_token(row.lease_token);
  lease.set_job(row.job.id());
  lease.set_attempt(row.job.attempts_size());
  lease.mutable_term()->set_seconds(absl::IDivDuration(term, absl::Seconds(1), &term));
  lease.mutable_term()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(term)));
  lease.set_request(std::move(request));
  AddBlobs(row.job, lease);
  return lease;
}

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
  lease.started = row.job.attempts().rbegin()->has_start_time();
  lease.cancel = row.job.cancel_requested();
  lease.expiry = clock_->Monotonic() + options_.lease_term;
  WatchExpiry(lease, lease.expiry);
}

JobStore::Done LeaseDesk::Counted(JobStore::Done done) {
  ++writes_;
  return [self = shared_from_this(),
          done = std::move(done)](absl::StatusOr<JobStore::Changed> changed) {
    done(std::move(changed));
    absl::MutexLock lock(&self->mu_);
    --self->writes_;
  };
}

// --- Claim ---

void LeaseDesk::Claim(Slot& slot) {
  slot.claiming = true;
  slot.claim_again = false;
  const v1::SynchronizeRequest& request = slot.last;
  SlotOffer offer{.device_kind = request.engine().device_kind(),
                  .memory_bytes = request.memory_bytes()};
  offer.analyses.assign(request.analyses().begin(), request.analyses().end());
  auto lease = [this, name = request.slot(), engine = request.engine(), embedded = slot.embedded,
                token = RandomHex(16)](JobRow& row, v1::JobEvent& event) {
    const absl::Time now = clock_->Now();
    RETURN_IF_ERROR(Lease(row.job, name, engine, now));
    row.lease_token = token;
    row.embedded = embedded;
    event = EventOf(row.job, now, absl::StrCat("leased to ", name));
    return absl::OkStatus();
  };
  store_->Claim(std::move(offer), std::move(lease),
                Counted([this, name = request.slot()](absl::StatusOr<JobStore::Changed> changed) {
                  Claimed(name, std::move(changed));
                }));
}

void LeaseDesk::Claimed(const std::string& name, absl::StatusOr<JobStore::Changed> changed) {
  {
    absl::MutexLock lock(&mu_);
    Slot& slot = slots_[name];
    slot.claiming = false;
    if (changed.ok()) {
      const std::string& token = changed->row.lease_token;
      OpenLease& lease = leases_[token];
      lease.lease = LeaseMessage(changed->row, std::move(changed->request), options_.lease_term);
      lease.slot = name;
      lease.incarnation = slot.last.incarnation();
      lease.expiry = clock_->Monotonic() + options_.lease_term;
      slot.token = token;
      WatchExpiry(lease, lease.expiry);
    } else if (!absl::IsNotFound(changed.status()) && slot.poll != nullptr) {
      slot.poll->Reply(changed.status());
    }
    if (changed.ok() || slot.claim_again || slot.late) Settle(slot);
  }
  if (changed.ok()) on_changed_(*changed);
}

// --- Progress ---

void LeaseDesk::HearHolder(OpenLease& lease, const v1::SynchronizeRequest& request) {
  const absl::Duration now = clock_->Monotonic();
  lease.expiry = now + options_.lease_term;
  if (lease.ending) return;
  if (request.state() == v1::DONE) {
    End(lease, request.report());
    return;
  }
  const v1::SlotProgress& progress = request.progress();
  const bool starts = progress.started() && !lease.started;
  const bool moved = progress.fraction() != lease.progress.fraction() ||
                     progress.phase() != lease.progress.phase() ||
                     progress.message() != lease.progress.message();
  lease.progress = progress;
  if (!starts && (!moved || now - lease.progress_stored < options_.progress_interval)) return;
  lease.started |= starts;
  lease.progress_stored = now;
  StoreProgress(lease, starts);
}

void LeaseDesk::StoreProgress(OpenLease& lease, bool started) {
  auto store = [this, token = lease.lease.token(), progress = lease.progress, started](
                   JobRow& row, v1::JobEvent& event) {
    RETURN_IF_ERROR(CheckToken(row, token));
    const absl::Time now = clock_->Now();
    if (started) RETURN_IF_ERROR(Start(row.job, now));
    row.job.set_progress(ProgressFraction(progress));
    row.job.set_phase(progress.phase());
    event = EventOf(row.job, now, started ? "started" : progress.message());
    return absl::OkStatus();
  };
  store_->Change(
      lease.lease.job(), std::move(store),
      Counted([this](absl::StatusOr<JobStore::Changed> changed) {
        if (changed.ok()) return on_changed_(*changed);
        Log(LogLevel::kWarning, "progress_not_stored", {{"reason", changed.status().message()}});
      }));
}

// --- End ---

void LeaseDesk::End(OpenLease& lease, v1::AttemptReport report) {
  lease.ending = true;
  const std::string token = lease.lease.token();
  auto end = [this, token, report = std::move(report)](JobRow& row, v1::JobEvent& event) {
    RETURN_IF_ERROR(CheckToken(row, token));
    const absl::Time now = clock_->Now();
    RETURN_IF_ERROR(EndAttempt(row.job, report, now));
    event = EventOf(row.job, now,
                    absl::StrCat("attempt ", row.job.attempts_size(), ": ", report.outcome()));
    return absl::OkStatus();
  };
  store_->Change(lease.lease.job(), std::move(end),
                 Counted([this, token](absl::StatusOr<JobStore::Changed> changed) {
                   Ended(token, std::move(changed));
                 }));
}

void LeaseDesk::Ended(const std::string& token, absl::StatusOr<JobStore::Changed> changed) {
  {
    absl::MutexLock lock(&mu_);
    OpenLease& lease = leases_.at(token);
    Slot* slot = nullptr;
    if (auto found = slots_.find(lease.slot);
        found != slots_.end() && found->second.token == token) {
      slot = &found->second;
    }
    if (changed.ok() || absl::IsAborted(changed.status()) || absl::IsNotFound(changed.status())) {
      if (slot != nullptr) slot->token.clear();
      if (lease.timer) errands_->Cancel(*lease.timer);
      leases_.erase(token);
    } else {  // not stored: the slot may mend its report, else it is lost when its time is over
      lease.ending = false;
      if (slot != nullptr && slot->poll != nullptr) slot->poll->Reply(changed.status());
      WatchExpiry(lease, std::max(lease.expiry, clock_->Monotonic() + kEndRetry));
    }
    if (slot != nullptr) Settle(*slot);
  }
  if (changed.ok()) on_changed_(*changed);
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

void LeaseDesk::CancelRequested(const std::string& job) {
  absl::MutexLock lock(&mu_);
  for (auto& [token, lease] : leases_) {
    if (lease.lease.job() != job) continue;
    lease.cancel = true;
    if (auto slot = slots_.find(lease.slot); slot != slots_.end()) Settle(slot->second);
  }
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
    if (!slot.claiming && !request.draining() && (!slot.late || slot.claim_again)) Claim(slot);
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
  const OpenLease* lease = LeaseOf(slot);
  if (lease != nullptr && lease->cancel) return std::max(now, lease->cancel_told + kCancelRepeat);
  return now + options_.lease_term / 3;
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
