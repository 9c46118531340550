// The life of a job, as one table. Pure functions on the message: no clock, no store, no lock.
//
//   QUEUED  --leased-->               RUNNING
//   QUEUED  --cancel requested-->     CANCELLED
//   RUNNING --cancel requested-->     RUNNING    (the slot is told)
//   RUNNING --started, progressed-->  RUNNING
//   RUNNING --succeeded-->            SUCCEEDED
//   RUNNING --failed-->               FAILED
//   RUNNING --cancelled-->            CANCELLED  (QUEUED when nobody asked for it)
//   RUNNING --crashed, lost-->        QUEUED     (FAILED after kCrashesMax of these; CANCELLED if
//   asked for) RUNNING --preempted-->            QUEUED     (FAILED after kAttemptsMax; CANCELLED
//   if asked for)
// Everything else is refused with FAILED_PRECONDITION. The way back from RUNNING is the only one.
#ifndef RADIOGRAPH_SERVER_JOBS_LIFECYCLE_H_
#define RADIOGRAPH_SERVER_JOBS_LIFECYCLE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "radiograph/v1/jobs.pb.h"
#include "radiograph/v1/workers.pb.h"

namespace radiograph {

inline constexpr int kCrashesMax = 3;    // attempts that may crash or be lost
inline constexpr int kAttemptsMax = 20;  // of any kind: bounds the preempted ones, and the record
inline constexpr int kStderrTailBytesMax = 64 << 10;

enum class Happening {
  kLeased,
  kStarted,
  kProgressed,
  kCancelRequested,
  kSucceeded,
  kFailed,
  kCrashed,
  kLost,
  kPreempted,
  kCancelled,
};

bool IsFinal(v1::JobState state);

// The state after `what` happens to `job`.
absl::StatusOr<v1::JobState> NextState(const v1::Job& job, Happening what);

// "SUCCEEDED", "FAILED", "CRASHED", "LOST", "PREEMPTED", "CANCELLED", as attempts tell their end.
// INVALID_ARGUMENT for any other word.
absl::StatusOr<Happening> ParseOutcome(absl::string_view outcome);

// What to store and tell watchers of the job as it is now.
v1::JobEvent EventOf(const v1::Job& job, absl::Time now, absl::string_view message);

// Each applies one row of the table to the job and its attempts, or refuses and changes nothing.
absl::Status Lease(v1::Job& job, const std::string& slot, const v1::Engine& engine, absl::Time now);
absl::Status Start(v1::Job& job, absl::Time now);
absl::Status RequestCancel(v1::Job& job, absl::Time now);
// Ends the open attempt with what was reported of it; takes the result over on success.
absl::Status EndAttempt(v1::Job& job, const v1::AttemptReport& report, absl::Time now);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_LIFECYCLE_H_
