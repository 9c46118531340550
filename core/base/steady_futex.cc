// Waits of Abseil, and so the timers of gRPC, last as long as they were meant to, whatever becomes
// of the wall clock.
//
// Abseil turns each time-out into a moment of the wall clock and waits for that on a futex. When
// the clock is set back by an hour meanwhile, the wait lasts an hour longer: gRPC 1.51 then does
// not try its server again for an hour. And where the process is told another wall clock than the
// kernel's (libfaketime a day back), each such moment has passed: gRPC's timer threads turn without
// a pause, at 100 % of a processor each.
//
// Abseil reaches the kernel by the C library's syscall(), and a definition in the program comes
// before that of the library. This one turns the wait for a moment into a wait for what is left
// until then by the clock that the caller has read; the kernel counts that on the monotonic clock.
// core/base/CMakeLists.txt sees to it that every program has it.
#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdarg>

#include "absl/time/time.h"

namespace {

using Syscall = long (*)(long, ...);

// Not a static of a function: its guard may wait, by syscall().
constinit std::atomic<Syscall> next = nullptr;

Syscall Next() {
  Syscall found = next.load(std::memory_order_acquire);
  if (found == nullptr) {
    found = reinterpret_cast<Syscall>(dlsym(RTLD_NEXT, "syscall"));
    next.store(found, std::memory_order_release);
  }
  return found;
}

timespec LeftUntil(const timespec& moment) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return absl::ToTimespec(std::max(
      absl::DurationFromTimespec(moment) - absl::DurationFromTimespec(now), absl::ZeroDuration()));
}

}  // namespace

extern "C" long syscall(long number, ...) noexcept {
  constexpr int kWaitForMoment = FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME;
  std::array<long, 6> arguments;
  va_list list;
  va_start(list, number);
  for (auto& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  auto& [word, operation, value, time, other, bits] = arguments;
  timespec left;
  if (number == SYS_futex && static_cast<int>(operation) == kWaitForMoment && time != 0 &&
      static_cast<uint32_t>(bits) == FUTEX_BITSET_MATCH_ANY) {
    left = LeftUntil(*reinterpret_cast<const timespec*>(time));
    operation = FUTEX_WAIT_PRIVATE;
    time = reinterpret_cast<long>(&left);
  }
  return Next()(number, word, operation, value, time, other, bits);
}
