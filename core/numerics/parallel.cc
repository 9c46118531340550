#include "core/numerics/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/tensor/run_torch.h"

namespace radiograph {
namespace {

constexpr absl::Duration kReportEvery = absl::Milliseconds(200);

// Hands out indices, and gathers how they went.
class Loop {
 public:
  explicit Loop(int64_t count) : count_(count) {}

  // The next index, or -1 when there is none left or the loop is to end.
  int64_t Next() {
    absl::MutexLock lock(&mu_);
    return stopped_ || next_ == count_ ? -1 : next_++;
  }

  void Done(int64_t index, absl::Status status) {
    absl::MutexLock lock(&mu_);
    ++done_;
    if (status.ok()) return;
    stopped_ = true;
    if (failed_ < 0 || index < failed_) {
      failed_ = index;
      status_ = std::move(status);
    }
  }

  void Stop(absl::Status status) {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    failed_ = 0;  // no body's error replaces it
    status_ = std::move(status);
  }

  // True when all that was begun is done and no more will be.
  bool WaitForEnd(absl::Duration timeout) {
    auto ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return done_ == next_ && (stopped_ || next_ == count_);
    };
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&ended), timeout);
  }

  int64_t done() const {
    absl::MutexLock lock(&mu_);
    return done_;
  }
  absl::Status status() const {
    absl::MutexLock lock(&mu_);
    return status_;
  }

 private:
  const int64_t count_;
  mutable absl::Mutex mu_;
  int64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t done_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  int64_t failed_ ABSL_GUARDED_BY(mu_) = -1;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::Status ParallelFor(int64_t count, absl::FunctionRef<absl::Status(int64_t)> body,
                         absl::FunctionRef<absl::Status(int64_t)> report, int64_t threads_max) {
  Loop loop(count);
  auto work = [&loop, body] {
    at::set_num_threads(1);  // of this thread: the number is kept per thread
    for (int64_t i = loop.Next(); i >= 0; i = loop.Next()) {
      loop.Done(i, RunTorch([&] { return body(i); }));
    }
  };
  std::vector<std::jthread> threads;
  const int64_t wanted = std::min<int64_t>({count, at::get_num_threads(), threads_max});
  for (int64_t t = 0; t < wanted; ++t) threads.emplace_back(work);
  while (!loop.WaitForEnd(kReportEvery)) {
    if (absl::Status status = report(loop.done()); !status.ok()) loop.Stop(std::move(status));
  }
  threads.clear();
  return loop.status();
}

absl::Status ParallelFor(int64_t count, absl::FunctionRef<absl::Status(int64_t)> body) {
  return ParallelFor(count, body, [](int64_t) { return absl::OkStatus(); });
}

absl::Status ForEachChunk(at::Device device, int64_t total, int64_t chunk,
                          absl::FunctionRef<absl::Status(int64_t, int64_t)> body,
                          absl::FunctionRef<absl::Status(int64_t)> report) {
  if (device.is_cpu()) {
    return ParallelFor(
        total, [&](int64_t i) { return body(i, 1); }, report, chunk);
  }
  for (int64_t begin = 0; begin < total; begin += chunk) {
    RETURN_IF_ERROR(report(begin));
    RETURN_IF_ERROR(body(begin, std::min(chunk, total - begin)));
  }
  return absl::OkStatus();
}

}  // namespace radiograph
