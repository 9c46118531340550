// A few threads for what a reaction of the callback API must not do itself: ask the store.
#ifndef RADIOGRAPH_SERVER_RPC_POOL_H_
#define RADIOGRAPH_SERVER_RPC_POOL_H_

#include <deque>
#include <functional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace radiograph {

// Safe for use from many threads. The queue needs no limit of its own: every call that may wait has
// at most one task in it, and the Door limits those.
class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this](std::stop_token stop) { Loop(stop); });
    }
  }
  // Runs what is queued, then ends.
  ~Pool() {
    for (std::jthread& thread : threads_) thread.request_stop();
  }

  void Post(std::function<void()> task) {
    absl::MutexLock lock(&mu_);
    tasks_.push_back(std::move(task));
  }

 private:
  void Loop(std::stop_token stop) {
    std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mu_); });
    while (true) {
      std::function<void()> task;
      {
        absl::MutexLock lock(&mu_);
        auto ready = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
          return !tasks_.empty() || stop.stop_requested();
        };
        mu_.Await(absl::Condition(&ready));
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  absl::Mutex mu_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  std::vector<std::jthread> threads_;  // last: they end first
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_POOL_H_
