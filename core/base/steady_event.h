// A wait whose time-out is by the monotonic clock. Those of absl::Mutex are by the wall clock where
// steady_futex.cc is not linked, and a jump may fall between the reading of the clock and the wait.
#ifndef RADIOGRAPH_CORE_BASE_STEADY_EVENT_H_
#define RADIOGRAPH_CORE_BASE_STEADY_EVENT_H_

#include "absl/time/time.h"
#include "core/base/file.h"

namespace radiograph {

// Safe for use from many threads. Where the process has no descriptor left for it, it is never set.
class SteadyEvent {
 public:
  SteadyEvent();
  SteadyEvent(const SteadyEvent&) = delete;

  void Set();
  void Clear();
  // Until it is set, by anyone, or the time is over. True when it is set.
  bool Wait(absl::Duration timeout) const;

 private:
  const UniqueFd event_;  // an eventfd
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_STEADY_EVENT_H_
