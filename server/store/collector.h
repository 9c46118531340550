// Forgets what nobody needs any more: ended jobs after a set age, then blobs.
//
// What names a blob needs it (needs.h), for the tenant whose it is. A collection looks, on one
// snapshot, which possessions of blobs nothing needs, and notes in their rows since when; one whose
// note has reached keep_blobs goes, and with a blob's last possession its row, then its file.
//
// Nothing that is needed goes, however it comes about. Whoever stores what names blobs takes their
// notes away in the same transaction (RequireBlobs, GiveBlobs in messages.h), and so does, before
// it answers, whoever tells a client that a blob is here (FindMissing, Write). The transaction that
// removes goes on only under the very note that the snapshot held. So whatever was stored before
// the snapshot is seen in it, and whatever comes later has changed the note. A client that was told
// that a blob is here has keep_blobs to make use of it, restarts in between or not.
//
// A crash at any point leaves a file without a row at worst, which nobody sees and the next
// collection removes.
//
// The times in notes are of a clock that is the wall's when the process starts and steady from then
// on; of a job's age the lesser counts, by that clock or the wall's. So a wall clock that jumps
// makes nothing old early. (After a restart it is believed.)
#ifndef RADIOGRAPH_SERVER_STORE_COLLECTOR_H_
#define RADIOGRAPH_SERVER_STORE_COLLECTOR_H_

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/clock.h"
#include "radiograph/v1/server.pb.h"
#include "server/store/store.h"

namespace radiograph {

// What FindMissing and Write promise.
inline constexpr absl::Duration kKeepBlobsMin = absl::Hours(1);

// Safe for use from many threads; collections run one at a time.
class Collector {
 public:
  struct Options {
    // From their end, or that of the newest job that was answered with their result. A kept job
    // keeps its inputs and its result.
    absl::Duration keep_jobs = absl::InfiniteDuration();
    // Since something needed them, or somebody asked for them.
    absl::Duration keep_blobs = absl::InfiniteDuration();
    absl::Duration keep_memos = absl::InfiniteDuration();  // since they were last used
    std::function<void(const v1::CollectResponse&)> on_collected = [](const v1::CollectResponse&) {
    };
  };
  // Deletes those of the jobs that are there and ended, in one transaction.
  using ForgetJobs = std::function<absl::Status(absl::Span<const JobKey>)>;

  // All must outlive it.
  Collector(Options options, Store* store, const Clock* clock, ForgetJobs forget_jobs);

  // Says what was forgotten. Writes in transactions of some milliseconds, so others go on between
  // them; takes memory for what is needed (needs.h). With `validate_only` nothing is changed: says
  // what would be. CANCELLED once `stopped`; what is done by then is done. DATA_LOSS at a
  // damaged record: nothing is removed by half a view.
  absl::StatusOr<v1::CollectResponse> Collect(bool validate_only, Stopped stopped);

  // Removes a blob at once that has been a job's state, if its note says still that it is none
  // (keepsakes.h). Nothing while it is the turn of a collection or a Pause: then it goes later.
  void RemoveState(const std::string& sha256);

  // Nothing is collected while it lives; waits until a collection that runs has ended.
  class Pause {
   public:
    explicit Pause(Collector* collector);
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    Collector& collector_;
  };

  const Options& options() const { return options_; }

 private:
  struct Plan;
  absl::Time SteadyNow() const;
  absl::StatusOr<Plan> Look(Stopped stopped);
  absl::Time OldestMemoKept() const;
  absl::Status Forget(const Plan& plan, Stopped stopped);
  absl::Status Note(const Plan& plan, Stopped stopped);
  absl::Status Remove(const Plan& plan, Stopped stopped, v1::CollectResponse& collected);

  const Options options_;
  Store* const store_;
  const Clock* const clock_;
  const ForgetJobs forget_jobs_;
  const absl::Time wall_at_start_;
  const absl::Duration monotonic_at_start_;
  absl::Mutex mu_;
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_COLLECTOR_H_
