// Time as our classes see it, so that a test can move it.
#ifndef RADIOGRAPH_CORE_BASE_CLOCK_H_
#define RADIOGRAPH_CORE_BASE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace radiograph {

// Safe for use from many threads.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall clock: for people and for stored records. It may jump.
  virtual absl::Time Now() const = 0;
  // Since some fixed moment; never jumps. Leases and deadlines are counted on it.
  virtual absl::Duration Monotonic() const = 0;
};

class SystemClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration Monotonic() const override {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return absl::DurationFromTimespec(now);
  }
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_CLOCK_H_
