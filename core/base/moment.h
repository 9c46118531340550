// Moments of the wall clock as gRPC takes them for deadlines and alarms. It counts what is left
// until then on the monotonic clock, so they must be told by the kernel's wall clock: absl::Now()
// follows a jump of that only within two seconds, and such a deadline would be an hour off.
#ifndef RADIOGRAPH_CORE_BASE_MOMENT_H_
#define RADIOGRAPH_CORE_BASE_MOMENT_H_

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"

namespace radiograph {

inline std::chrono::system_clock::time_point MomentIn(absl::Duration wait) {
  constexpr absl::Duration kWaitMax = absl::Hours(24 * 365 * 100);
  return std::chrono::system_clock::now() +
         absl::ToChronoMicroseconds(std::clamp(wait, -kWaitMax, kWaitMax));
}

inline absl::Duration TimeUntil(std::chrono::system_clock::time_point moment) {
  return absl::FromChrono(moment) - absl::FromChrono(std::chrono::system_clock::now());
}

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_MOMENT_H_
