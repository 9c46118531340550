#include "server/jobs/waits.h"

#include <utility>

#include "server/jobs/lifecycle.h"

namespace radiograph {

void Waits::Wait(const JobKey& key, int64_t after_sequence, absl::Duration timeout,
                 std::stop_token stop, Jobs::WaitDone done) {
  auto waiter = std::make_shared<OneWaiter>(errands_, std::move(done));
  // First the entry, then the look: what is committed in between is told by JobChanged.
  if (!Register(key.id, {after_sequence, waiter})) {
    waiter->Reply(Jobs::Wake::kGivenUp);
    return;
  }
  absl::StatusOr<JobRow> row = store_->Get(key);
  if (!row.ok()) {
    waiter->Reply(row.status());
    Forget(key.id);
    return;
  }
  std::weak_ptr<OneWaiter> weak = waiter;
  waiter->Arm(
      clock_->Monotonic() + timeout,
      [weak] {
        if (auto late = weak.lock()) late->Reply(Jobs::Wake::kTimeout);
      },
      std::move(stop), Jobs::Wake::kGivenUp);
  JobChanged(*row);
}

bool Waits::Register(const std::string& id, Entry entry) {
  absl::MutexLock lock(&mu_);
  if (shut_down_) return false;
  std::vector<Entry>& entries = waiting_[id];
  std::erase_if(entries, [](const Entry& old) { return old.waiter->answered(); });
  entries.push_back(std::move(entry));
  return true;
}

void Waits::Forget(const std::string& id) {
  absl::MutexLock lock(&mu_);
  auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  std::erase_if(found->second, [](const Entry& old) { return old.waiter->answered(); });
  if (found->second.empty()) waiting_.erase(found);
}

void Waits::JobChanged(const JobRow& row) {
  std::vector<Entry> told;  // destroyed without the lock
  absl::MutexLock lock(&mu_);
  auto found = waiting_.find(row.job.id());
  if (found == waiting_.end()) return;
  std::vector<Entry> still;
  for (Entry& entry : found->second) {
    const bool due = IsFinal(row.job.state()) || row.events > entry.after_sequence;
    if (due) entry.waiter->Reply(Jobs::Wake::kChanged);
    (due ? told : still).push_back(std::move(entry));
  }
  found->second = std::move(still);
  if (found->second.empty()) waiting_.erase(found);
}

void Waits::Shutdown() {
  std::map<std::string, std::vector<Entry>> ended;
  {
    absl::MutexLock lock(&mu_);
    shut_down_ = true;
    ended.swap(waiting_);
  }
  for (auto& [id, entries] : ended) {
    for (Entry& entry : entries) entry.waiter->Reply(Jobs::Wake::kGivenUp);
  }
}

}  // namespace radiograph
