// One thread that runs what others must not run themselves: callbacks, and what is due at a time.
#ifndef RADIOGRAPH_SERVER_JOBS_ERRANDS_H_
#define RADIOGRAPH_SERVER_JOBS_ERRANDS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/steady_event.h"

namespace radiograph {

// Safe for use from many threads. Errands run one after the other, without a lock held; they must
// not block.
class Errands {
 public:
  using Errand = std::function<void()>;
  // Names a timed errand: its time and a number.
  using Id = std::pair<absl::Duration, int64_t>;

  explicit Errands(const Clock* clock) : clock_(clock) {}
  // Ends the thread; errands that are left are dropped.
  ~Errands() = default;

  // Starts the thread. A test doesn't, and calls RunDue itself.
  void Start();

  void Post(Errand errand);
  // Once the clock's Monotonic() has reached `when`.
  Id PostAt(absl::Duration when, Errand errand);
  // False when it has been run or is about to.
  bool Cancel(Id id);

  // Runs what is due; returns how many errands that were.
  int64_t RunDue();

 private:
  void Loop(std::stop_token stop);
  absl::Duration NextTime();

  const Clock* const clock_;
  absl::Mutex mu_;
  int64_t last_number_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<Errand> ready_ ABSL_GUARDED_BY(mu_);
  std::map<Id, Errand> timed_ ABSL_GUARDED_BY(mu_);
  SteadyEvent news_;     // there is something to do that the thread does not wait for
  std::jthread thread_;  // last: it ends first
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_ERRANDS_H_
