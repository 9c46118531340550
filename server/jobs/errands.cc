#include "server/jobs/errands.h"

#include <utility>
#include <vector>

namespace radiograph {

void Errands::Start() {
  thread_ = std::jthread([this](std::stop_token stop) { Loop(stop); });
}

void Errands::Post(Errand errand) {
  absl::MutexLock lock(&mu_);
  ready_.push_back(std::move(errand));
  if (ready_.size() == 1) news_.Set();
}

Errands::Id Errands::PostAt(absl::Duration when, Errand errand) {
  absl::MutexLock lock(&mu_);
  Id id(when, ++last_number_);
  const auto place = timed_.emplace(id, std::move(errand)).first;
  if (place == timed_.begin()) news_.Set();
  return id;
}

bool Errands::Cancel(Id id) {
  Errand cancelled;  // destroyed after the lock is released: it may hold the last reference to
                     // something
  absl::MutexLock lock(&mu_);
  auto found = timed_.find(id);
  if (found == timed_.end()) return false;
  cancelled = std::move(found->second);
  timed_.erase(found);
  return true;
}

int64_t Errands::RunDue() {
  std::vector<Errand> due;
  {
    const absl::Duration now = clock_->Monotonic();
    absl::MutexLock lock(&mu_);
    for (Errand& errand : ready_) due.push_back(std::move(errand));
    ready_.clear();
    while (!timed_.empty() && timed_.begin()->first.first <= now) {
      due.push_back(std::move(timed_.begin()->second));
      timed_.erase(timed_.begin());
    }
  }
  for (const Errand& errand : due) errand();
  return static_cast<int64_t>(due.size());
}

void Errands::Loop(std::stop_token stop) {
  std::stop_callback wake(stop, [this] { news_.Set(); });
  while (!stop.stop_requested()) {
    news_.Clear();
    RunDue();
    news_.Wait(NextTime() - clock_->Monotonic());
  }
}

absl::Duration Errands::NextTime() {
  absl::MutexLock lock(&mu_);
  if (!ready_.empty()) return -absl::InfiniteDuration();
  return timed_.empty() ? absl::InfiniteDuration() : timed_.begin()->first.first;
}

}  // namespace radiograph
