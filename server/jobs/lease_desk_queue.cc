// What waits, and how a slot gets a lease of it.
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "server/jobs/lease_desk.h"
#include "server/jobs/lifecycle.h"
#include "server/jobs/merging.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

v1::JobPriority Higher(v1::JobPriority a, v1::JobPriority b) {
  return a == v1::HIGH || b == v1::HIGH       ? v1::HIGH
         : a == v1::NORMAL || b == v1::NORMAL ? v1::NORMAL
                                              : v1::LOW;
}

// An end that could not be stored is tried again after this long.
constexpr absl::Duration kDeadlineRetry = absl::Seconds(1);

// How long until the job may run.
absl::Duration WaitOf(const v1::Job& job, absl::Time now) {
  if (!job.has_not_before()) return absl::ZeroDuration();
  return std::max(absl::ZeroDuration(), FromTimestamp(job.not_before()) - now);
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

}  // namespace

v1::Lease LeaseMessage(const JobRow& row, std::string request, absl::Duration term) {
  v1::Lease lease;
  lease.set_token(row.lease_token);
  lease.set_job(row.job.id());
  lease.set_attempt(row.job.attempts().rbegin()->number());
  lease.mutable_term()->set_seconds(absl::IDivDuration(term, absl::Seconds(1), &term));
  lease.mutable_term()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(term)));
  lease.set_request(std::move(request));
  AddBlobs(row.job, lease);
  return lease;
}

bool LeaseDesk::Claim(Slot& slot) {
  auto fits = [&](const JobNeeds& needs)
                  ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return Fits(slot, needs); };
  auto may_run = [&](const std::string& tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return options_.running_jobs_per_tenant_max == 0 ||
           running_[tenant] < options_.running_jobs_per_tenant_max;
  };
  std::optional<QueuedJob> job = ready_.Take(fits, may_run);
  if (!job) return false;
  slot.claiming = true;
  ++running_[job->tenant];
  auto text = std::make_shared<std::string>();
  auto lease = [this, id = job->id, name = slot.last.slot(), engine = slot.last.engine(),
                embedded = slot.embedded, token = RandomHex(16),
                text](JobTransaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(JobRow row, transaction.Get(id));
    const absl::Time now = clock_->Now();
    RETURN_IF_ERROR(Lease(row.job, name, engine, now));
    row.lease_token = token;
    row.embedded = embedded;
    ASSIGN_OR_RETURN(*text, transaction.RequestText(row));
    v1::JobEvent event = EventOf(row.job, now, absl::StrCat("leased to ", name));
    return transaction.Put(std::move(row), std::move(event));
  };
  store_->Transact(std::move(lease), Counted([this, name = slot.last.slot(), job = *std::move(job),
                                              text](JobStore::Changes changes) {
                     Claimed(name, job, std::move(*text), std::move(changes));
                   }));
  return true;
}

void LeaseDesk::Claimed(const std::string& name, QueuedJob job, std::string request,
                        JobStore::Changes changes) {
  {
    absl::MutexLock lock(&mu_);
    Slot& slot = slots_[name];
    slot.claiming = false;
    if (changes.ok()) {
      const JobRow& row = changes->front().row;
      const std::string& token = row.lease_token;
      OpenLease& lease = leases_[token];
      lease.lease = LeaseMessage(row, std::move(request), options_.lease_term);
      lease.slot = name;
      lease.tenant = job.tenant;
      lease.incarnation = slot.last.incarnation();
      lease.expiry = clock_->Monotonic() + options_.lease_term;
      slot.token = token;
      WatchExpiry(lease, lease.expiry);
    } else {
      --running_[job.tenant];
      const bool gone =
          absl::IsFailedPrecondition(changes.status()) || absl::IsNotFound(changes.status());
      if (!gone) {  // not stored; a job that was cancelled meanwhile is just not there
        ready_.Add(std::move(job));
        if (slot.poll != nullptr) slot.poll->Reply(changes.status());
      }
    }
    Settle(slot);
  }
  if (changes.ok()) on_changed_(*changes);
}

void LeaseDesk::JobQueued(const JobRow& row) {
  absl::MutexLock lock(&mu_);
  if (!row.job.merged_into().empty()) return JoinFirst(row);
  auto raised = raised_.find(row.job.id());
  QueuedJob job{.id = row.job.id(),
                .tenant = row.job.tenant(),
                .priority = raised == raised_.end() ? row.job.priority()
                                                    : Higher(row.job.priority(), raised->second),
                .sequence = row.sequence,
                .seconds = row.planned_seconds,
                .needs = NeedsOf(row)};
  const absl::Duration wait = WaitOf(row.job, clock_->Now());
  if (wait <= absl::ZeroDuration()) return Enqueue(std::move(job));
  Delay(std::move(job), clock_->Monotonic() + wait, !row.job.attempts().empty());
}

// The wait is by the monotonic clock: a jump of the wall clock does not stretch it.
void LeaseDesk::Delay(QueuedJob job, absl::Duration until, bool is_retry) {
  const std::string id = job.id;
  if (auto old = delayed_.find(id); old != delayed_.end()) errands_->Cancel(old->second.timer);
  const Errands::Id timer = errands_->PostAt(until, [weak = weak_from_this(), id] {
    if (auto desk = weak.lock()) desk->DelayIsOver(id);
  });
  delayed_[id] = {std::move(job), timer, is_retry};
}

void LeaseDesk::DelayIsOver(const std::string& job) {
  absl::MutexLock lock(&mu_);
  auto found = delayed_.find(job);
  if (shut_down_ || found == delayed_.end()) return;
  QueuedJob ready = std::move(found->second.job);
  delayed_.erase(found);
  Enqueue(std::move(ready));
}

// Wakes one slot, if one waits.
void LeaseDesk::Enqueue(QueuedJob job) {
  const JobNeeds needs = job.needs;
  ready_.Add(std::move(job));
  for (auto& [name, slot] : slots_) {
    if (slot.claiming || !slot.token.empty() || slot.last.state() != v1::IDLE) continue;
    if (slot.poll == nullptr || slot.poll->answered() || !TakesWork(slot)) continue;
    if (Fits(slot, needs) && Claim(slot)) return;
  }
}

void LeaseDesk::JoinFirst(const JobRow& row) {
  const std::string& first = row.job.merged_into();
  auto [raised, is_new] = raised_.try_emplace(first, row.job.priority());
  raised->second = Higher(raised->second, row.job.priority());
  ready_.Raise(first, raised->second);
  auto found = delayed_.find(first);
  if (found == delayed_.end()) return;
  QueuedJob job = found->second.job;
  job.priority = Higher(job.priority, row.job.priority());
  const bool is_retry = found->second.is_retry;
  absl::Duration until = found->second.timer.first;
  if (!is_retry) {
    until = std::min(until, clock_->Monotonic() + WaitOf(row.job, clock_->Now()));
  }
  Delay(std::move(job), until, is_retry);
}

void LeaseDesk::JobLeftQueue(const std::string& id) {
  absl::MutexLock lock(&mu_);
  ready_.Remove(id);
  raised_.erase(id);
  auto found = delayed_.find(id);
  if (found == delayed_.end()) return;
  errands_->Cancel(found->second.timer);
  delayed_.erase(found);
}

void LeaseDesk::WatchDeadline(const v1::Job& job) {
  if (!job.has_deadline()) return;
  const absl::Duration left = FromTimestamp(job.deadline()) - clock_->Now();
  absl::MutexLock lock(&mu_);
  deadlines_[job.id()] =
      errands_->PostAt(clock_->Monotonic() + left, [weak = weak_from_this(), id = job.id()] {
        if (auto desk = weak.lock()) desk->DeadlinePassed(id);
      });
}

void LeaseDesk::ForgetDeadline(const std::string& job) {
  absl::MutexLock lock(&mu_);
  auto found = deadlines_.find(job);
  if (found == deadlines_.end()) return;
  errands_->Cancel(found->second);
  deadlines_.erase(found);
}

void LeaseDesk::DeadlinePassed(const std::string& job) {
  absl::MutexLock lock(&mu_);
  if (shut_down_ || !deadlines_.contains(job)) return;
  auto end = [this, job](JobTransaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(JobRow row, transaction.Get(job));
    return StopJob(transaction, std::move(row), Happening::kDeadlinePassed, clock_->Now());
  };
  store_->Transact(std::move(end), Counted([this, job](JobStore::Changes changes) {
                     if (changes.ok()) return on_changed_(*changes);
                     if (absl::IsNotFound(changes.status())) return;
                     absl::MutexLock again(&mu_);  // a full disk, perhaps
                     deadlines_[job] = errands_->PostAt(clock_->Monotonic() + kDeadlineRetry,
                                                        [weak = weak_from_this(), job] {
                                                          if (auto desk = weak.lock())
                                                            desk->DeadlinePassed(job);
                                                        });
                   }));
}

absl::Status LeaseDesk::Drain(const std::string& name, absl::Duration grace) {
  absl::MutexLock lock(&mu_);
  const bool known = std::any_of(slots_.begin(), slots_.end(), [&](const auto& entry) {
    return entry.first == name || absl::StartsWith(entry.first, name + "/");
  });
  if (!known) {
    return absl::NotFoundError(
        absl::StrCat("there is no slot or worker '", name.substr(0, 80), "'"));
  }
  drained_.insert(name);
  errands_->PostAt(clock_->Monotonic() + grace, [weak = weak_from_this(), name] {
    if (auto desk = weak.lock()) desk->PreemptDrained(name);
  });
  return absl::OkStatus();
}

absl::Status LeaseDesk::Undrain(const std::string& name) {
  absl::MutexLock lock(&mu_);
  if (drained_.erase(name) > 0) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("'", name.substr(0, 80), "' is not drained"));
}

// Nobody asked for the end of these jobs, so the table sends them back to the queue, unburned.
void LeaseDesk::PreemptDrained(const std::string& name) {
  absl::MutexLock lock(&mu_);
  if (shut_down_ || !drained_.contains(name)) return;
  for (auto& [token, lease] : leases_) {
    if (!IsDrained(lease.slot)) continue;
    lease.cancel = true;
    if (auto slot = slots_.find(lease.slot); slot != slots_.end()) Settle(slot->second);
  }
}

}  // namespace radiograph
