// Preloaded (LD_PRELOAD) into a program, gives it a wall clock that somebody sets while it runs.
//
//   CLOCK_JUMP_FILE  a file of 8 bytes, an int64_t: seconds that the wall clock is ahead, now
//
// As the kernel does it: who waits until a time of the wall clock (absl::Mutex waits on a futex so,
// others on a condition variable) wakes when the clock that jumped gets there.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { kNanos = 1000000000, kSliceNanos = 20000000, kWallSecondsMin = 1000000000 };

static long (*real_syscall)(long, ...);
static int (*real_clock_gettime)(clockid_t, struct timespec*);
static int (*real_cond_clockwait)(pthread_cond_t*, pthread_mutex_t*, clockid_t,
                                  const struct timespec*);
static int (*real_cond_timedwait)(pthread_cond_t*, pthread_mutex_t*, const struct timespec*);
static const volatile int64_t* ahead;

__attribute__((constructor)) static void begin(void) {
  *(void**)&real_syscall = dlsym(RTLD_NEXT, "syscall");
  *(void**)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  *(void**)&real_cond_clockwait = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
  *(void**)&real_cond_timedwait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  const char* path = getenv("CLOCK_JUMP_FILE");
  if (path == NULL) return;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  void* map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) abort();
  close(fd);
  ahead = map;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  if (real_clock_gettime == NULL) begin();  // a constructor of another library asks first
  int error = real_clock_gettime(clock, time);
  if (error == 0 && ahead != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    time->tv_sec += *ahead;
  }
  return error;
}

int gettimeofday(struct timeval* time, void* zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

// Until that moment of the wall clock, at most a slice; 0 when it has come.
static int64_t nanos_until(const struct timespec* end) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t seconds = end->tv_sec - now.tv_sec;
  if (seconds > 2) return kSliceNanos;
  int64_t left = seconds * kNanos + end->tv_nsec - now.tv_nsec;
  return left < 0 ? 0 : left < kSliceNanos ? left : kSliceNanos;
}

static long futex_wait(int* word, int operation, int value, const struct timespec* end, int bits) {
  const int plain = operation & ~FUTEX_CLOCK_REALTIME;  // then it waits by the monotonic clock
  while (1) {
    int64_t left = nanos_until(end);
    if (left == 0) return errno = ETIMEDOUT, -1;
    struct timespec slice;
    real_clock_gettime(CLOCK_MONOTONIC, &slice);
    slice.tv_nsec += left;
    slice.tv_sec += slice.tv_nsec / kNanos;
    slice.tv_nsec %= kNanos;
    long result = real_syscall(SYS_futex, word, plain, value, &slice, NULL, bits);
    if (result == 0 || errno != ETIMEDOUT) return result;
  }
}

long syscall(long number, ...) {
  if (real_syscall == NULL) begin();
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && a[3] != 0 && (a[1] & FUTEX_CLOCK_REALTIME) != 0) {
    return futex_wait((int*)a[0], (int)a[1], (int)a[2], (const struct timespec*)a[3], (int)a[5]);
  }
  return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// A wait that ends for no reason is allowed: so does each slice. A condition variable may be of
// either clock; the times of the monotonic one are small.
int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                           const struct timespec* end) {
  if (end->tv_sec < kWallSecondsMin) return real_cond_timedwait(condition, mutex, end);
  int64_t left = nanos_until(end);
  struct timespec slice;
  real_clock_gettime(CLOCK_MONOTONIC, &slice);
  slice.tv_nsec += left;
  slice.tv_sec += slice.tv_nsec / kNanos;
  slice.tv_nsec %= kNanos;
  int error = real_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &slice);
  return error == ETIMEDOUT && nanos_until(end) > 0 ? 0 : error;
}
