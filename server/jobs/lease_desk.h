// Where slots ask for work: their long polls, and the open leases. What is durable of a lease (job,
// token, attempt) is in the job's row; when it runs out is known here only.
//
// One rule answers all polls: Decide compares what the slot says with what it should do; a poll is
// answered when they differ, or when it is late. Decide runs when a poll comes and whenever
// something changed.
#ifndef RADIOGRAPH_SERVER_JOBS_LEASE_DESK_H_
#define RADIOGRAPH_SERVER_JOBS_LEASE_DESK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "radiograph/v1/workers.pb.h"
#include "server/jobs/jobs.h"
#include "server/jobs/scheduler.h"
#include "server/jobs/waiter.h"
#include "server/store/job_store.h"

namespace radiograph {

// What a slot is told of a lease of that job.
v1::Lease LeaseMessage(const JobRow& row, std::string request, absl::Duration term);

// Safe for use from many threads. Writes are submitted, never waited for. Lock order: mu_, then the
// database's, a waiter's or the errands'.
class LeaseDesk : public std::enable_shared_from_this<LeaseDesk> {
 public:
  // After each commit, on the writer's thread, without a lock.
  using OnChanged = std::function<void(const std::vector<JobChange>&)>;
  LeaseDesk(const JobsOptions& options, JobStore* store, const Clock* clock, Errands* errands,
            OnChanged on_changed);

  // Takes up a lease that the store holds from before the start; it gets a full term.
  void Restore(const JobRow& row, std::string request);
  void Synchronize(v1::SynchronizeRequest request, bool embedded, std::stop_token stop,
                   Jobs::SynchronizeDone done);
  // There is a job for the taking, from its not_before on; or one that is merged into another,
  // which then waits no longer and behind no more than this one would.
  void JobQueued(const JobRow& row);
  // The job is not for the taking (any more).
  void JobLeftQueue(const std::string& id);
  // The slot that runs the job is to stop it.
  void StopRequested(const std::string& job);
  // The job goes on with the run of another.
  void TookOver(const JobRow& row);
  // An open job with a deadline is ended then; to be told of every new job, and of its end.
  void WatchDeadline(const v1::Job& job);
  void ForgetDeadline(const std::string& job);
  // Gives the slot, or all slots of a worker, no more leases; what runs there after `grace` goes
  // back to the queue. Until the server's end, or Undrain. NOT_FOUND.
  absl::Status Drain(const std::string& name, absl::Duration grace);
  absl::Status Undrain(const std::string& name);

  // The latest progress of a running job, newer than what is stored.
  std::optional<v1::SlotProgress> LatestProgress(const std::string& job);
  // Why a queued job does not run.
  std::string PendingReason(const JobRow& row);
  v1::ListWorkersResponse ListWorkers(const std::string& tenant);
  std::map<v1::SlotState, int64_t> CountSlots();

  // Answers all polls with UNAVAILABLE, refuses new ones, and waits for its writes.
  void Shutdown();

 private:
  using Poll = Waiter<absl::StatusOr<v1::SynchronizeResponse>>;
  struct Slot {
    v1::SynchronizeRequest last;  // what it said last
    bool embedded = false;
    absl::Duration seen;  // when
    std::string token;    // of its lease; empty: none
    std::shared_ptr<Poll> poll;
    bool late = false;      // the poll has waited long enough
    bool claiming = false;  // a claim is on its way to the store
    // Its process died, or its disk failed, under these, one after the other; so many close it
    // for a while, longer every time. The agent lets a process begin only after a probe.
    std::set<std::string> crashed;
    int quarantines = 0;  // since its last good end
    absl::Duration quarantine_end = -absl::InfiniteDuration();
  };
  struct Delayed {
    QueuedJob job;
    Errands::Id timer;
    bool is_retry = false;
  };
  struct OpenLease {
    v1::Lease lease;
    std::string slot;
    std::string tenant;
    absl::Time fetching = absl::InfinitePast();
    std::string incarnation;  // of the agent that has it; empty: not known
    absl::Duration expiry;
    std::optional<Errands::Id> timer;
    v1::SlotProgress progress;
    absl::Duration progress_stored = -absl::InfiniteDuration();
    bool moved = false;  // since then
    std::optional<Errands::Id> progress_timer;
    bool started = false;
    bool cancel = false;
    absl::Duration cancel_told = -absl::InfiniteDuration();
    bool ending = false;  // its end is on its way to the store
  };

  absl::Status Admit(const v1::SynchronizeRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetSilentSlots() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  OpenLease* LeaseOf(const Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Hear(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HearHolder(OpenLease& lease, const v1::SynchronizeRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Duration AnswerBy(const Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<v1::SynchronizeResponse> Decide(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Settle(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // False when there is no job for it.
  bool Claim(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Enqueue(QueuedJob job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Delay(QueuedJob job, absl::Duration until, bool is_retry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void JoinFirst(const JobRow& row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool TakesWork(const Slot& slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NoteEnd(Slot& slot, const std::string& job, absl::string_view outcome, bool sick)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StoreProgress(OpenLease& lease, bool started) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StoreProgressInTime(OpenLease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ProgressIsDue(const std::string& token);
  void End(OpenLease& lease, v1::AttemptReport report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WatchExpiry(OpenLease& lease, absl::Duration when) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Fits(const Slot& slot, const JobNeeds& needs) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsAlive(const Slot& slot) const;
  bool IsDrained(const std::string& slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  void PollIsLate(const std::string& slot, const std::weak_ptr<Poll>& poll);
  void LeaseMayBeOver(const std::string& token);
  void DelayIsOver(const std::string& job);
  void DeadlinePassed(const std::string& job);
  void PreemptDrained(const std::string& name);
  void Claimed(const std::string& slot, QueuedJob job, std::string request,
               JobStore::Changes changes);
  void Ended(const std::string& token, const std::string& outcome, bool sick,
             JobStore::Changes changes);
  // Wraps a write's `done` so that Shutdown waits for it.
  JobStore::Done Counted(JobStore::Done done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const JobsOptions options_;
  JobStore* const store_;
  const Clock* const clock_;
  Errands* const errands_;
  const OnChanged on_changed_;
  absl::Mutex mu_;
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
  int64_t writes_ ABSL_GUARDED_BY(mu_) = 0;  // submitted and not done
  std::map<std::string, Slot> slots_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, OpenLease> leases_ ABSL_GUARDED_BY(mu_);  // by token
  Scheduler ready_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Delayed> delayed_ ABSL_GUARDED_BY(mu_);  // by job
  // Of jobs that another, more urgent one is merged into, for when they come back to the queue.
  std::map<std::string, v1::JobPriority> raised_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Errands::Id> deadlines_ ABSL_GUARDED_BY(mu_);  // by job
  std::map<std::string, int64_t> running_ ABSL_GUARDED_BY(mu_);  // leases and claims by tenant
  std::set<std::string> drained_ ABSL_GUARDED_BY(mu_);           // slots and workers
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_LEASE_DESK_H_
