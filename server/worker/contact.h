// Tells the log whether a worker's server can be reached: when it is away and why, again at most
// once a minute while it stays so, and when it is back. All slots of a worker share one.
#ifndef RADIOGRAPH_SERVER_WORKER_CONTACT_H_
#define RADIOGRAPH_SERVER_WORKER_CONTACT_H_

#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace radiograph {

// Between two lines that tell the same absence.
inline constexpr absl::Duration kAwayTellInterval = absl::Minutes(1);
// Between the lines of two absences: a server that comes and goes does not fill the log.
inline constexpr absl::Duration kAbsenceTellInterval = absl::Seconds(10);

// Safe for use from many threads.
class Contact {
 public:
  // `server` is for the log: where the server is. The clock outlives this.
  Contact(std::string server, const Clock* clock) : server_(std::move(server)), clock_(clock) {}

  // A call of the slot had no answer, or was refused.
  void Missed(const std::string& slot, const absl::Status& reason);
  // A call of the slot was answered. The server is back when this is so for all that missed it.
  void Reached(const std::string& slot);

 private:
  const std::string server_;
  const Clock* const clock_;
  absl::Mutex mu_;
  std::set<std::string> missing_ ABSL_GUARDED_BY(mu_);  // slots whose last call had no answer
  absl::Duration since_ ABSL_GUARDED_BY(mu_);           // of the absence; these are monotonic
  absl::Duration tell_from_ ABSL_GUARDED_BY(mu_) = -absl::InfiniteDuration();
  bool told_ ABSL_GUARDED_BY(mu_) = false;  // of this absence
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_CONTACT_H_
