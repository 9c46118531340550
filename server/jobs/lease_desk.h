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
#include <stop_token>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "radiograph/v1/workers.pb.h"
#include "server/jobs/jobs.h"
#include "server/jobs/waiter.h"
#include "server/store/job_store.h"

namespace radiograph {

// Safe for use from many threads. Writes are submitted, never waited for. Lock order: mu_, then the
// database's, a waiter's or the errands'.
class LeaseDesk : public std::enable_shared_from_this<LeaseDesk> {
 public:
  // After each commit, on the writer's thread, without a lock.
  using OnChanged = std::function<void(const JobStore::Changed&)>;
  LeaseDesk(const JobsOptions& options, JobStore* store, const Clock* clock, Errands* errands,
            OnChanged on_changed);

  // Takes up a lease that the store holds from before the start; it gets a full term.
  void Restore(const JobRow& row, std::string request);
  void Synchronize(v1::SynchronizeRequest request, bool embedded, std::stop_token stop,
                   Jobs::SynchronizeDone done);
  // There is a job for the taking.
  void JobQueued(const JobRow& row);
  // The slot that runs the job is to stop it.
  void CancelRequested(const std::string& job);

  // The latest progress of a running job, newer than what is stored.
  std::optional<v1::SlotProgress> LatestProgress(const std::string& job);
  // Why a queued job does not run.
  std::string PendingReason(const JobRow& row);
  v1::ListWorkersResponse ListWorkers();
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
    bool late = false;         // the poll has waited long enough
    bool claiming = false;     // a claim is on its way to the store
    bool claim_again = false;  // a job came meanwhile
  };
  struct OpenLease {
    v1::Lease lease;
    std::string slot;
    std::string incarnation;  // of the agent that has it; empty: not known
    absl::Duration expiry;
    std::optional<Errands::Id> timer;
    v1::SlotProgress progress;
    absl::Duration progress_stored = -absl::InfiniteDuration();
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
  void Claim(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StoreProgress(OpenLease& lease, bool started) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void End(OpenLease& lease, v1::AttemptReport report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WatchExpiry(OpenLease& lease, absl::Duration when) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Fits(const Slot& slot, const JobRow& row) const;
  bool IsAlive(const Slot& slot) const;

  void PollIsLate(const std::string& slot, const std::weak_ptr<Poll>& poll);
  void LeaseMayBeOver(const std::string& token);
  void Claimed(const std::string& slot, absl::StatusOr<JobStore::Changed> changed);
  void Ended(const std::string& token, absl::StatusOr<JobStore::Changed> changed);
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
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_LEASE_DESK_H_
