// Jobs, from request to end: creation, cache, leases, cancel, events. The durable truth is in the
// JobStore; here are the slots that wait, the leases' ends and those who watch.
//
// Threads: Create, Get, List, Cancel, Events wait for the store and are for threads that may block.
// Synchronize, WhenChanged and WhenEnded never wait: they call `done` exactly once, on the errands'
// thread, with no lock held. A stop request on their token makes them call it soon.
#ifndef RADIOGRAPH_SERVER_JOBS_JOBS_H_
#define RADIOGRAPH_SERVER_JOBS_JOBS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/clock.h"
#include "radiograph/v1/jobs.pb.h"
#include "radiograph/v1/workers.pb.h"
#include "server/jobs/errands.h"
#include "server/jobs/lifecycle.h"
#include "server/store/store.h"

namespace radiograph {

class LeaseDesk;
class Waits;

// What the handler of Jobs.Create worked out of the request.
struct ResolvedJob {
  v1::Job job;          // analysis, analysis_version, inputs, params, seed, cache_key, tenant
  std::string request;  // JobRequest::ToJsonText()
  int64_t planned_memory_bytes = 0;
  double planned_seconds = 0;
  std::vector<std::string> notes;
};

// For metrics: called on any thread, must not block. Durations are by the wall clock.
struct JobsObserver {
  std::function<void(const v1::Job&)> created = [](const v1::Job&) {};  // cache hits too
  // Into a final state. `queued`: from creation to the last lease; `ran`: the last attempt.
  std::function<void(const v1::Job&, absl::Duration queued, absl::Duration ran)> finished =
      [](const v1::Job&, absl::Duration, absl::Duration) {};
  // A result that differs from an earlier one of the same work by an equal engine.
  std::function<void(const v1::Job&)> mismatched = [](const v1::Job&) {};
  // An attempt ended and the job went back to the queue.
  std::function<void(const v1::Job&)> requeued = [](const v1::Job&) {};
};

struct JobsOptions {
  absl::Duration lease_term = absl::Seconds(30);
  int64_t queued_jobs_max = 20'000;             // 0: no limit
  int64_t queued_jobs_per_tenant_max = 10'000;  // 0: no limit
  int64_t running_jobs_per_tenant_max = 1024;   // more wait in the queue; 0: no limit
  int64_t slots_max = 1024;
  // Between durable progress events of a job. Agents tell once a second (kProgressTellInterval),
  // all of which is kept, also what comes a little early.
  absl::Duration progress_interval = absl::Milliseconds(500);
  Backoff backoff = {};                                 // after a crash or a loss
  // A blob that was a job's state and is no more, noted so (keepsakes.h). May block.
  std::function<void(const std::string& sha256)> on_state_replaced = [](const std::string&) {};
  // From a job's end to its expire_time; who forgets it then is the collector.
  absl::Duration keep = absl::InfiniteDuration();
};

struct JobsSnapshot {
  std::map<v1::JobState, int64_t> jobs;
  std::map<v1::SlotState, int64_t> slots;
  absl::Duration oldest_queued_age;
};

// Safe for use from many threads.
class Jobs {
 public:
  // Takes up what the store holds: leases of remote slots get a full new term, those of the
  // server's own agent are void (PREEMPTED, back to the queue). All arguments must outlive it.
  static absl::StatusOr<std::unique_ptr<Jobs>> Open(JobsOptions options, Store* store,
                                                    const Clock* clock, Errands* errands,
                                                    JobsObserver observer);
  ~Jobs();

  // The answer to an earlier request with the same request_id, if there was one: to be asked before
  // the request is resolved. ALREADY_EXISTS when that had another body.
  absl::StatusOr<std::optional<v1::CreateJobResponse>> FindRepeated(
      const std::string& tenant, const v1::CreateJobRequest& request);
  // Durable when OK. Answers from the cache as request.cache() says: then the job has SUCCEEDED
  // already, with the attempt that made the result; the same work in flight is shared (merging.h).
  // RESOURCE_EXHAUSTED (quota.h) at queued_jobs_max and when the disk is low. Writes nothing when
  // request.validate_only(). Repeats are found here too.
  absl::StatusOr<v1::CreateJobResponse> Create(const v1::CreateJobRequest& request,
                                               ResolvedJob resolved);
  // A new job for the work of one that FAILED or was CANCELLED; else FAILED_PRECONDITION. The
  // answer to an earlier request with the same request_id, if there was one.
  absl::StatusOr<v1::Job> Retry(const JobKey& key, const std::string& request_id);
  // With pending_reason and the latest progress. NOT_FOUND.
  absl::StatusOr<v1::Job> Get(const JobKey& key);
  absl::StatusOr<v1::ListJobsResponse> List(const std::string& tenant,
                                            const v1::ListJobsRequest& request);
  // A QUEUED job is CANCELLED at once, a RUNNING one when its slot has stopped (at once when a
  // merged job goes on with its run); an ended one stays as it is.
  absl::StatusOr<v1::Job> Cancel(const JobKey& key);
  // Forgets an ended job; FAILED_PRECONDITION for another.
  absl::Status Delete(const JobKey& key);
  // Forgets those that are there and have ended, in one transaction: for the collector.
  absl::Status Forget(absl::Span<const JobKey> keys);

  // At most `limit` events after `after_sequence`, and whether there will be no more after these.
  struct EventPage {
    std::vector<v1::JobEvent> events;
    bool ended = false;
  };
  absl::StatusOr<EventPage> Events(const JobKey& key, int64_t after_sequence, int64_t limit);

  // Why a wait ended. The caller then reads Events or Get.
  enum class Wake { kChanged, kTimeout, kGivenUp };
  using WaitDone = std::function<void(absl::StatusOr<Wake>)>;  // NOT_FOUND for an unknown id
  // Until there is an event after `after_sequence`, or the job has ended.
  void WhenChanged(const JobKey& key, int64_t after_sequence, absl::Duration timeout,
                   std::stop_token stop, WaitDone done);
  // Until the job has ended.
  void WhenEnded(const JobKey& key, absl::Duration timeout, std::stop_token stop, WaitDone done);

  // The long poll of a slot. `embedded`: the call came from this server's own agent. Answers at
  // once when the desired state differs, else after a third of the lease. A newer call of the same
  // slot ends an older one with ABORTED. A DONE whose token is not the open lease's changes nothing
  // and is answered with IDLE, as the repeat of an accepted one is; FAILED_PRECONDITION names
  // result blobs that are not here.
  using SynchronizeDone = std::function<void(absl::StatusOr<v1::SynchronizeResponse>)>;
  void Synchronize(v1::SynchronizeRequest request, bool embedded, std::stop_token stop,
                   SynchronizeDone done);
  // What a running job keeps: state for its next attempt, dropped at its end, or a memo for other
  // jobs of its tenant (keepsakes.h), by the engine of its attempt. Durable when OK. ABORTED unless
  // the token is the open lease's; FAILED_PRECONDITION when the blob isn't here;
  // RESOURCE_EXHAUSTED beyond kKeptBytesMax, or kStateKeysMax keys.
  absl::Status Save(const v1::SaveRequest& request);
  // No blob: nothing is kept there. That a job goes on from state is an event of it.
  absl::StatusOr<v1::LoadResponse> Load(const v1::LoadRequest& request);
  // All slots; of their jobs only the tenant's own.
  v1::ListWorkersResponse ListWorkers(const std::string& tenant);
  // A slot, or all of a worker: no more leases; what runs there after `grace` goes back to the
  // queue, no attempt burned. Known to this process only. NOT_FOUND.
  absl::Status Drain(const std::string& name, absl::Duration grace);
  absl::Status Undrain(const std::string& name);

  absl::StatusOr<JobsSnapshot> Snapshot();
  // How many jobs of the tenant are in that state.
  int64_t CountOf(const std::string& tenant, v1::JobState state);

  // Gives up all waits and long polls (UNAVAILABLE), now and from now on; leases stand.
  void Shutdown();

 private:
  Jobs(JobsOptions options, Store* store, const Clock* clock, Errands* errands,
       JobsObserver observer);
  absl::Status TakeUpRunning();
  absl::Status TakeUpQueued();
  // Runs a transaction and spreads the news of it.
  JobStore::Changes Transact(JobStore::Body body);
  absl::Status ReserveQueuePlace(const std::string& tenant);
  absl::StatusOr<v1::Job> Insert(JobRow row, v1::CacheMode cache, std::string request);
  void Changed(const std::vector<JobChange>& changes);
  void Changed(const JobChange& change);
  void Count(const JobChange& change);
  // Adds what is known here only.
  void Fill(JobRow& row);

  const JobsOptions options_;
  Store* const store_;
  const Clock* const clock_;
  const JobsObserver observer_;
  std::unique_ptr<Waits> waits_;
  std::shared_ptr<LeaseDesk> desk_;  // shared with timers that may outlive it
  absl::Mutex mu_;
  JobStore::Counts counts_ ABSL_GUARDED_BY(mu_);
  // Queue places of jobs that are being stored, by tenant.
  std::map<std::string, int64_t> creating_ ABSL_GUARDED_BY(mu_);
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_JOBS_H_
