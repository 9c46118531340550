// Those who wait for something to happen to a job.
#ifndef RADIOGRAPH_SERVER_JOBS_WAITS_H_
#define RADIOGRAPH_SERVER_JOBS_WAITS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/jobs/jobs.h"
#include "server/jobs/waiter.h"
#include "server/store/job_store.h"

namespace radiograph {

// Safe for use from many threads.
class Waits {
 public:
  Waits(JobStore* store, const Clock* clock, Errands* errands)
      : store_(store), clock_(clock), errands_(errands) {}

  // Until the job has an event after `after_sequence` or has ended.
  void Wait(const JobKey& key, int64_t after_sequence, absl::Duration timeout, std::stop_token stop,
            Jobs::WaitDone done);
  // To be called after each commit that changed a job.
  void JobChanged(const JobRow& row) { Tell(row.job.id(), row.job.state(), row.events); }
  // Ends all waits, now and from now on.
  void Shutdown();

 private:
  using OneWaiter = Waiter<absl::StatusOr<Jobs::Wake>>;
  struct Entry {
    int64_t after_sequence;
    std::shared_ptr<OneWaiter> waiter;
  };
  // Those of one job. Time-outs leave answered ones behind: dropped when there are twice as many as
  // were there after the last time, so that a thousand watchers cost each other nothing.
  struct Crowd {
    std::vector<Entry> entries;
    size_t drop_at = 8;
    void DropAnswered();
  };
  bool Register(const std::string& id, Entry entry);
  void Tell(const std::string& id, v1::JobState state, int64_t events);
  // Drops the entries of a job that are answered.
  void Forget(const std::string& id);

  JobStore* const store_;
  const Clock* const clock_;
  Errands* const errands_;
  absl::Mutex mu_;
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
  std::map<std::string, Crowd> waiting_ ABSL_GUARDED_BY(mu_);  // by job
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_WAITS_H_
