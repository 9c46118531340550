#include "core/base/steady_event.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/clock.h"

namespace radiograph {

SteadyEvent::SteadyEvent() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void SteadyEvent::Set() {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t put = write(event_.get(), &one, sizeof(one));
}

void SteadyEvent::Clear() {
  uint64_t count;
  [[maybe_unused]] ssize_t got = read(event_.get(), &count, sizeof(count));
}

bool SteadyEvent::Wait(absl::Duration timeout) const {
  const absl::Duration end = SystemClock().Monotonic() + timeout;
  while (true) {
    // A time-out that a timespec can't hold is for ever.
    const absl::Duration left =
        std::clamp(end - SystemClock().Monotonic(), absl::ZeroDuration(), absl::Hours(24));
    const timespec time = absl::ToTimespec(left);
    pollfd wait = {event_.get(), POLLIN, 0};
    const int count = ppoll(&wait, 1, &time, nullptr);
    if (count > 0) return true;
    if (count == 0 && left < absl::Hours(24)) return false;  // else EINTR, or another day
  }
}

}  // namespace radiograph
