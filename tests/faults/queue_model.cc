#include "tests/faults/queue_model.h"

#include <algorithm>

namespace radiograph::testing {
namespace {

int Rank(v1::JobPriority priority) {
  return priority == v1::HIGH ? 2 : priority == v1::NORMAL ? 1 : 0;
}

v1::JobPriority Higher(v1::JobPriority a, v1::JobPriority b) { return Rank(a) > Rank(b) ? a : b; }

}  // namespace

std::vector<std::string> QueueModel::Merged(const std::string& id) const {
  std::vector<std::string> merged;
  for (const std::string& other : order_) {
    auto found = jobs_.find(other);
    if (found != jobs_.end() && found->second.state == v1::QUEUED && found->second.first == id) {
      merged.push_back(other);
    }
  }
  return merged;
}

const ModelJob* QueueModel::Repeated(const ModelRequest& request) const {
  for (const auto& [id, job] : jobs_) {
    if (!request.request_id.empty() && job.request.request_id == request.request_id &&
        job.request.tenant == request.tenant) {
      return &job;
    }
  }
  return nullptr;
}

const ModelJob& QueueModel::Create(const std::string& id, const ModelRequest& request) {
  ModelJob job;
  job.id = id;
  job.request = request;
  job.rank = request.priority;
  job.ready_from = job.ready_by = now_;
  job.deadline = now_ + request.timeout;
  const ModelJob *success = nullptr, *first = nullptr;
  for (const std::string& other : order_) {
    auto found = jobs_.find(other);
    if (found == jobs_.end()) continue;
    ModelJob& same = found->second;
    if (same.request.tenant != request.tenant || same.request.key != request.key) continue;
    if (same.request.cache == v1::BYPASS || same.cache_hit) continue;
    if (same.state == v1::SUCCEEDED) success = &same;                               // the newest
    if (!same.is_final() && same.first.empty() && first == nullptr) first = &same;  // the oldest
  }
  if (request.cache == v1::USE && request.key != 0) {
    if (success != nullptr) {
      job.state = v1::SUCCEEDED;
      job.cache_hit = true;
      job.result = success->result;
    } else if (first != nullptr && !first->cancel && !first->late) {
      job.first = first->id;
      ModelJob& leader = jobs_.at(first->id);
      leader.rank = Higher(leader.rank, job.rank);
    }
  }
  order_.push_back(id);
  return jobs_[id] = job;
}

void QueueModel::Finish(ModelJob& job, v1::JobState state) {
  job.state = state;
  job.first.clear();
}

// The job goes; its run, or its place, goes to the oldest that shares it.
void QueueModel::Leave(ModelJob& job) {
  const std::vector<std::string> merged = Merged(job.id);
  const v1::JobState end = job.cancel ? v1::CANCELLED : v1::FAILED;
  if (merged.empty()) {
    if (job.state == v1::QUEUED) Finish(job, end);
    return;  // a running one is told
  }
  ModelJob& heir = jobs_.at(merged.front());
  heir.first.clear();
  if (job.state == v1::RUNNING) {
    heir.state = v1::RUNNING;
    heir.burned = job.burned;
    heir.crashed_on = job.crashed_on;
    for (auto& [token, lease] : leases_) {
      if (lease.job == job.id) lease.job = heir.id;
    }
  } else {
    heir.ready_from = heir.ready_by = now_;
  }
  for (size_t i = 1; i < merged.size(); ++i) {
    jobs_.at(merged[i]).first = heir.id;
    heir.rank = Higher(heir.rank, jobs_.at(merged[i]).request.priority);
  }
  Finish(job, end);
}

void QueueModel::Cancel(const std::string& id) {
  ModelJob& job = jobs_.at(id);
  if (job.is_final() || job.cancel) return;
  job.cancel = true;
  Leave(job);
}

void QueueModel::Delete(const std::string& id) { jobs_.erase(id); }

std::string QueueModel::WhyNot(const std::string& id, const std::string& slot) const {
  auto found = jobs_.find(id);
  if (found == jobs_.end()) return "there is no such job";
  const ModelJob& job = found->second;
  if (job.state != v1::QUEUED) return "it is " + v1::JobState_Name(job.state);
  if (!job.first.empty()) return "it shares the run of " + job.first;
  if (job.ready_from > now_) return "it has to wait";
  if (drained_.contains(slot)) return "the slot is drained";
  for (const std::string& other : order_) {
    auto rival = jobs_.find(other);
    if (rival == jobs_.end() || rival->second.state != v1::QUEUED || other == id) continue;
    const ModelJob& one = rival->second;
    if (!one.first.empty() || one.ready_by > now_ || one.crashed_on.contains(slot)) continue;
    if (Rank(one.rank) > Rank(job.rank)) return other + " is more urgent";
    const bool older = std::find(order_.begin(), order_.end(), other) <
                       std::find(order_.begin(), order_.end(), id);
    if (older && one.request.tenant == job.request.tenant && Rank(one.rank) == Rank(job.rank)) {
      return other + " is older";
    }
  }
  return "";
}

std::string QueueModel::MustTake(const std::string& slot) const {
  if (drained_.contains(slot)) return "";
  for (const auto& [id, job] : jobs_) {
    if (job.state == v1::QUEUED && job.first.empty() && job.ready_by <= now_ &&
        !job.crashed_on.contains(slot)) {
      return id;
    }
  }
  return "";
}

void QueueModel::Take(const std::string& id, const std::string& slot, const std::string& token) {
  jobs_.at(id).state = v1::RUNNING;
  leases_[token] = {id, slot, now_ + term_};
}

bool QueueModel::Renew(const std::string& token) {
  auto found = leases_.find(token);
  if (found == leases_.end()) return false;
  found->second.expiry = now_ + term_;
  return true;
}

void QueueModel::Requeue(ModelJob& job, bool burned) {
  job.burned += burned;
  if (job.cancel) return Finish(job, v1::CANCELLED);
  if (job.late || (burned && job.burned >= job.request.max_attempts)) {
    return Finish(job, v1::FAILED);
  }
  job.state = v1::QUEUED;
  job.ready_from = now_ + (burned ? backoff_ / 2 : absl::ZeroDuration());
  job.ready_by = now_ + (burned ? backoff_ : absl::ZeroDuration());
}

bool QueueModel::End(const std::string& token, const std::string& outcome,
                     const std::string& result) {
  auto found = leases_.find(token);
  if (found == leases_.end()) return false;
  const ModelLease lease = found->second;
  leases_.erase(found);
  ModelJob& job = jobs_.at(lease.job);
  const std::vector<std::string> merged = Merged(job.id);
  if (outcome == "CRASHED" || outcome == "LOST") {
    job.crashed_on.insert(lease.slot);
    Requeue(job, true);
  } else if (outcome == "PREEMPTED" || outcome == "CANCELLED") {
    Requeue(job, false);
  } else if (outcome == "SUCCEEDED") {
    job.result = result;
    for (const std::string& other : order_) {  // the newest that ran
      auto same = jobs_.find(other);
      if (same == jobs_.end() || job.request.key == 0) continue;
      const ModelJob& one = same->second;
      if (one.state != v1::SUCCEEDED || one.cache_hit || one.request.cache == v1::BYPASS) continue;
      if (one.request.tenant != job.request.tenant || one.request.key != job.request.key) continue;
      job.differs_from = one.result == result ? "" : other;
    }
    Finish(job, v1::SUCCEEDED);
  } else {
    Finish(job, job.cancel && outcome == "FAILED" ? v1::CANCELLED : v1::FAILED);
  }
  if (!job.is_final()) return true;
  for (const std::string& id : merged) {
    ModelJob& other = jobs_.at(id);
    other.result = job.result;
    Finish(other, job.state);
  }
  return true;
}

void QueueModel::Drain(const std::string& slot, bool drained) {
  if (drained) {
    drained_.insert(slot);
  } else {
    drained_.erase(slot);
  }
}

absl::Duration QueueModel::NextDue() const {
  absl::Duration due = absl::InfiniteDuration();
  for (const auto& [token, lease] : leases_) due = std::min(due, lease.expiry - now_);
  for (const auto& [id, job] : jobs_) {
    if (!job.is_final() && !job.late) due = std::min(due, job.deadline - now_);
  }
  return due;
}

void QueueModel::Advance(absl::Duration by) {
  now_ += by;
  std::vector<std::string> lost;
  for (const auto& [token, lease] : leases_) {
    if (lease.expiry <= now_) lost.push_back(token);
  }
  for (const std::string& token : lost) End(token, "LOST", "");
  for (const std::string& id : order_) {
    auto found = jobs_.find(id);
    if (found == jobs_.end()) continue;
    ModelJob& job = found->second;
    if (job.is_final() || job.late || job.deadline > now_) continue;
    job.late = true;
    Leave(job);
  }
}

void QueueModel::Restart() {
  drained_.clear();
  for (auto& [token, lease] : leases_) lease.expiry = now_ + term_;
  for (auto& [id, job] : jobs_) {
    if (!job.is_final() && job.first.empty()) {
      job.rank = job.request.priority;
      for (const std::string& other : Merged(id)) {
        job.rank = Higher(job.rank, jobs_.at(other).request.priority);
      }
    }
  }
}

}  // namespace radiograph::testing
