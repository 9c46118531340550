// The life of a job, as one table (Transitions). Pure functions on the message: no clock, no store,
// no lock. README.md shows the table; a test compares the two.
//
// States move forward only. The one way back is RUNNING -> QUEUED, when an attempt ends without an
// outcome that another attempt could not change.
#ifndef RADIOGRAPH_SERVER_JOBS_LIFECYCLE_H_
#define RADIOGRAPH_SERVER_JOBS_LIFECYCLE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "radiograph/v1/jobs.pb.h"
#include "radiograph/v1/workers.pb.h"

namespace radiograph {

inline constexpr int kMaxAttemptsDefault = 3;  // that may crash or be lost
inline constexpr int kMaxAttemptsMax = 20;
inline constexpr int kAttemptsKeptMax = 40;  // in the record; the oldest PREEMPTED ones go first
inline constexpr int kStderrTailBytesMax = 64 << 10;

enum class Happening {
  kLeased,
  kStarted,
  kProgressed,
  kCancelRequested,
  kDeadlinePassed,
  kLeft,      // cancelled or late while the same work goes on for a merged job
  kTookOver,  // a merged job goes on with the work of the one that left
  kMergedSucceeded,
  kMergedFailed,
  // How an attempt ends.
  kSucceeded,
  kFailed,
  kOutOfMemory,
  kCrashed,
  kLost,
  kPreempted,
  kCancelled,
};

// What must hold besides the state. Of several rows the first that holds decides.
enum class Guard {
  kAlways,
  kCancelAsked,   // cancel_requested
  kLate,          // deadline_exceeded
  kTransient,     // the error is UNAVAILABLE (input or output failed), and attempts are left
  kAttemptsLeft,  // fewer than max_attempts crashed, were lost or failed so
};

struct Transition {
  v1::JobState from;
  Happening what;
  Guard guard;
  v1::JobState to;
  const char* writes;
};
absl::Span<const Transition> Transitions();
const char* NameOf(Happening what);
const char* NameOf(Guard guard);

bool IsFinal(v1::JobState state);
// Counts against max_attempts: CRASHED, LOST, or FAILED with UNAVAILABLE.
bool IsBurned(const v1::Attempt& attempt);

// How long a job waits after its n-th burned attempt: `base` * 2^(n-1), at most `max`, of which up
// to a half is taken off by chance (of the job's id: no state, the same every time).
struct Backoff {
  absl::Duration base = absl::Seconds(1);
  absl::Duration max = absl::Minutes(1);
};
absl::Duration BackoffAfter(const v1::Job& job, const Backoff& backoff);

// "SUCCEEDED", "FAILED", "OUT_OF_MEMORY", "CRASHED", "LOST", "PREEMPTED", "CANCELLED", as attempts
// tell their end. INVALID_ARGUMENT for any other word.
absl::StatusOr<Happening> ParseOutcome(absl::string_view outcome);

// What to store and tell watchers of the job as it is now.
v1::JobEvent EventOf(const v1::Job& job, absl::Time now, absl::string_view message);

// Each applies one row of the table to the job and its attempts, or refuses with
// FAILED_PRECONDITION and changes nothing.
absl::Status Lease(v1::Job& job, const std::string& slot, const v1::Engine& engine, absl::Time now);
// `fetching`: when the slot began to bring the inputs; InfinitePast: not told.
absl::Status Start(v1::Job& job, absl::Time fetching, absl::Time now);
// kCancelRequested or kDeadlinePassed. `work_goes_on`: a merged job takes the run over (kLeft).
absl::Status Stop(v1::Job& job, Happening why, bool work_goes_on, absl::Time now);
// Ends the open attempt with what was reported of it; takes the result over on success.
absl::Status EndAttempt(v1::Job& job, const v1::AttemptReport& report, const Backoff& backoff,
                        absl::Time now);
// A merged job goes on with the run of `left`, which is about to leave it.
absl::Status TakeOver(v1::Job& job, const v1::Job& left);
// A merged job ends as `ended` did: with its result, or its error.
absl::Status EndAs(v1::Job& job, const v1::Job& ended, absl::Time now);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_LIFECYCLE_H_
