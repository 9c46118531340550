#include "server/jobs/scheduler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/jobs/lifecycle.h"

namespace radiograph {
namespace {

int RankOf(v1::JobPriority priority) {
  return priority == v1::HIGH ? 0 : priority == v1::LOW ? 2 : 1;
}

double CostOf(const QueuedJob& job) {
  return std::clamp(job.seconds, Scheduler::kCostMin, Scheduler::kCostMax);
}

// A tenant's next job for a slot, and after how many more turns it can pay for it.
struct Candidate {
  QueuedJob* job = nullptr;
  double turns = 0;
  int64_t turn = 0;
};

}  // namespace

JobNeeds NeedsOf(const JobRow& row) {
  const v1::Job& job = row.job;
  JobNeeds needs{.analysis = job.analysis(),
                 .version = job.analysis_version(),
                 .device_kind = job.device_kind(),
                 .memory_bytes = row.memory_bytes,
                 .crashed_on = {}};
  for (const v1::Attempt& attempt : job.attempts()) {
    if (IsBurned(attempt)) needs.crashed_on.push_back(attempt.slot());
  }
  return needs;
}

void Scheduler::Add(QueuedJob job) {
  Remove(job.id);
  const int rank = RankOf(job.priority);
  auto [tenant, is_new] = classes_[rank].try_emplace(job.tenant);
  if (is_new) tenant->second.turn = ++turns_;
  places_[job.id] = {rank, job.tenant, job.needs, job.sequence};
  auto& waiting = tenant->second.waiting[job.needs];
  waiting.insert_or_assign(job.sequence, std::move(job));
}

bool Scheduler::Remove(const std::string& id) {
  auto found = places_.find(id);
  if (found == places_.end()) return false;
  const Place place = std::move(found->second);
  places_.erase(found);
  Class& tenants = classes_.at(place.rank);
  Tenant& tenant = tenants.at(place.tenant);
  auto waiting = tenant.waiting.find(place.needs);
  waiting->second.erase(place.sequence);
  if (waiting->second.empty()) tenant.waiting.erase(waiting);
  if (tenant.waiting.empty()) tenants.erase(place.tenant);  // and what it saved
  return true;
}

void Scheduler::Raise(const std::string& id, v1::JobPriority priority) {
  auto found = places_.find(id);
  if (found == places_.end() || found->second.rank <= RankOf(priority)) return;
  const Place& place = found->second;
  QueuedJob job =
      classes_.at(place.rank).at(place.tenant).waiting.at(place.needs).at(place.sequence);
  job.priority = priority;
  Add(std::move(job));
}

std::optional<QueuedJob> Scheduler::Take(
    absl::FunctionRef<bool(const JobNeeds&)> fits,
    absl::FunctionRef<bool(const std::string& tenant)> may_run) {
  for (auto& [rank, tenants] : classes_) {
    if (auto job = TakeFrom(tenants, fits, may_run)) return job;
  }
  return std::nullopt;
}

std::optional<QueuedJob> Scheduler::TakeFrom(Class& tenants,
                                             absl::FunctionRef<bool(const JobNeeds&)> fits,
                                             absl::FunctionRef<bool(const std::string&)> may_run) {
  std::vector<Tenant*> able;
  Candidate best;
  for (auto& [name, tenant] : tenants) {
    QueuedJob* oldest = nullptr;
    for (auto& [needs, waiting] : tenant.waiting) {
      QueuedJob& first = waiting.begin()->second;
      if ((oldest == nullptr || first.sequence < oldest->sequence) && fits(needs)) oldest = &first;
    }
    if (oldest == nullptr || !may_run(name)) continue;
    able.push_back(&tenant);
    const double missing = std::max(0.0, CostOf(*oldest) - tenant.deficit);
    const Candidate candidate{oldest, std::ceil(missing / kQuantum), tenant.turn};
    if (best.job == nullptr ||
        std::pair(candidate.turns, candidate.turn) < std::pair(best.turns, best.turn)) {
      best = candidate;
    }
  }
  if (best.job == nullptr) return std::nullopt;
  for (Tenant* tenant : able) tenant->deficit += best.turns * kQuantum;
  QueuedJob taken = *best.job;
  tenants.at(taken.tenant).deficit -= CostOf(taken);
  Remove(taken.id);
  return taken;
}

}  // namespace radiograph
