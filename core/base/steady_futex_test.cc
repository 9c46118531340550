#include <dlfcn.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

// What becomes of these waits when the wall clock is set: tests/faults/clock_jump_test.py and
// quiet_test.py.
namespace radiograph {
namespace {

constexpr absl::Duration kShort = absl::Milliseconds(20);

// As Abseil waits; 0, or why the wait ended otherwise than by a wake.
int WaitUntil(std::atomic<int>& word, int value, absl::Time moment) {
  const timespec end = absl::ToTimespec(moment);
  const int operation = FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME;
  const long result =
      syscall(SYS_futex, &word, operation, value, &end, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 ? 0 : errno;
}

TEST(SteadyFutex, TheProgramsOwnComesBeforeTheLibrarys) {
  Dl_info of_syscall, of_program;
  ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "syscall"), &of_syscall), 0);
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&WaitUntil), &of_program), 0);
  EXPECT_STREQ(of_syscall.dli_fname, of_program.dli_fname);
}

TEST(SteadyFutex, WaitsForAMomentNoLessAndNotMuchLonger) {
  std::atomic<int> word = 0;
  const absl::Duration begin = SystemClock().Monotonic();
  EXPECT_EQ(WaitUntil(word, 0, absl::Now() + kShort), ETIMEDOUT);
  const absl::Duration took = SystemClock().Monotonic() - begin;
  EXPECT_GE(took, kShort);
  EXPECT_LT(took, absl::Minutes(1));
}

TEST(SteadyFutex, AMomentThatHasPassedEndsTheWaitAtOnce) {
  std::atomic<int> word = 0;
  EXPECT_EQ(WaitUntil(word, 0, absl::Now() - absl::Hours(24)), ETIMEDOUT);
  EXPECT_EQ(WaitUntil(word, 0, absl::UnixEpoch()), ETIMEDOUT);
}

TEST(SteadyFutex, AnotherValueEndsTheWaitAtOnce) {
  std::atomic<int> word = 1;
  EXPECT_EQ(WaitUntil(word, 0, absl::Now() + absl::Hours(1)), EAGAIN);
}

TEST(SteadyFutex, AWakeEndsTheWait) {
  std::atomic<int> word = 0;
  std::jthread waker([&] {
    while (syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0) == 0) {
    }
  });
  EXPECT_EQ(WaitUntil(word, 0, absl::Now() + absl::Hours(1)), 0);
}

TEST(SteadyFutex, OtherCallsAndTheirErrorsPass) {
  EXPECT_EQ(syscall(SYS_getpid), getpid());
  EXPECT_EQ(syscall(SYS_close, -1), -1);
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace radiograph
