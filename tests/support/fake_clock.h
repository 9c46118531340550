// A clock that stands still until a test moves it.
#ifndef RADIOGRAPH_TESTS_SUPPORT_FAKE_CLOCK_H_
#define RADIOGRAPH_TESTS_SUPPORT_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/clock.h"

namespace radiograph::testing {

class FakeClock : public Clock {
 public:
  absl::Time Now() const override {
    absl::MutexLock lock(&mu_);
    return now_;
  }
  absl::Duration Monotonic() const override {
    absl::MutexLock lock(&mu_);
    return monotonic_;
  }
  // Both clocks.
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mu_);
    now_ += by;
    monotonic_ += by;
  }
  // The wall clock alone, as when somebody sets it.
  void Jump(absl::Duration by) {
    absl::MutexLock lock(&mu_);
    now_ += by;
  }

 private:
  mutable absl::Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_) = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01 UTC
  absl::Duration monotonic_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1000);
};

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_TESTS_SUPPORT_FAKE_CLOCK_H_
