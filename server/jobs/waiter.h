// A call that waits for its one answer: from an event, from a time-out, or because it was given up.
#ifndef RADIOGRAPH_SERVER_JOBS_WAITER_H_
#define RADIOGRAPH_SERVER_JOBS_WAITER_H_

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/jobs/errands.h"

namespace radiograph {

// Safe for use from many threads. Takes its own lock and the errands' only, so it may be used under
// others.
template <typename Answer>
class Waiter : public std::enable_shared_from_this<Waiter<Answer>> {
 public:
  using Done = std::function<void(Answer)>;
  Waiter(Errands* errands, Done done) : errands_(errands), done_(std::move(done)) {}

  // Runs `late` at `when`, and answers `given_up` on a stop request, if there is no answer by then.
  // Once.
  void Arm(absl::Duration when, Errands::Errand late, std::stop_token stop, Answer given_up) {
    std::weak_ptr<Waiter> weak = this->weak_from_this();
    {
      absl::MutexLock lock(&mu_);
      if (done_ == nullptr) return;
      timer_ = errands_->PostAt(when, std::move(late));
    }
    on_stop_.emplace(std::move(stop), [weak, given_up = std::move(given_up)] {
      if (auto waiter = weak.lock()) waiter->Reply(given_up);
    });
  }

  // Has the errands' thread call `done`, the first time. False: there was an answer already.
  bool Reply(Answer answer) {
    absl::MutexLock lock(&mu_);
    if (done_ == nullptr) return false;
    if (timer_) errands_->Cancel(*timer_);
    errands_->Post(
        [done = std::exchange(done_, nullptr), answer = std::move(answer)] { done(answer); });
    return true;
  }

  bool answered() const {
    absl::MutexLock lock(&mu_);
    return done_ == nullptr;
  }

 private:
  using OnStop = std::stop_callback<std::function<void()>>;
  Errands* const errands_;
  mutable absl::Mutex mu_;
  Done done_ ABSL_GUARDED_BY(mu_);
  std::optional<Errands::Id> timer_ ABSL_GUARDED_BY(mu_);
  std::optional<OnStop> on_stop_;  // of Arm and the destructor only
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_WAITER_H_
