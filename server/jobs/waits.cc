#include "server/jobs/waits.h"

#include <algorithm>
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
  absl::StatusOr<JobHead> head = store_->Head(key);
  if (!head.ok()) {
    waiter->Reply(head.status());
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
  Tell(key.id, head->state, head->events);
}

void Waits::Crowd::DropAnswered() {
  std::erase_if(entries, [](const Entry& old) { return old.waiter->answered(); });
  drop_at = std::max<size_t>(8, 2 * entries.size());
}

bool Waits::Register(const std::string& id, Entry entry) {
  absl::MutexLock lock(&mu_);
  if (shut_down_) return false;
  Crowd& crowd = waiting_[id];
  if (crowd.entries.size() >= crowd.drop_at) crowd.DropAnswered();
  crowd.entries.push_back(std::move(entry));
  return true;
}

void Waits::Forget(const std::string& id) {
  absl::MutexLock lock(&mu_);
  auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  found->second.DropAnswered();
  if (found->second.entries.empty()) waiting_.erase(found);
}

void Waits::Tell(const std::string& id, v1::JobState state, int64_t events) {
  std::vector<Entry> told;  // destroyed without the lock
  absl::MutexLock lock(&mu_);
  auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  std::vector<Entry> still;
  for (Entry& entry : found->second.entries) {
    const bool due = IsFinal(state) || events > entry.after_sequence;
    if (due) entry.waiter->Reply(Jobs::Wake::kChanged);
    (due ? told : still).push_back(std::move(entry));
  }
  found->second.entries = std::move(still);
  if (found->second.entries.empty()) waiting_.erase(found);
}

void Waits::Shutdown() {
  std::map<std::string, Crowd> ended;
  {
    absl::MutexLock lock(&mu_);
    shut_down_ = true;
    ended.swap(waiting_);
  }
  for (auto& [id, crowd] : ended) {
    for (Entry& entry : crowd.entries) entry.waiter->Reply(Jobs::Wake::kGivenUp);
  }
}

}  // namespace radiograph
