// Which of the jobs that wait a slot gets: the highest priority class that has one for it; inside
// the class tenants share by deficit round robin (Shreedhar and Varghese 1996), in seconds as
// planned; of a tenant's jobs the oldest that fits.
//
// A tenant's turn gives it kQuantum seconds to spend. What it saves while its next job costs more
// is kept until it has nothing left that waits, so a tenant with long jobs and one with short jobs
// get the same time, and a flood of one delays another's job by a turn, not by the flood.
#ifndef RADIOGRAPH_SERVER_JOBS_SCHEDULER_H_
#define RADIOGRAPH_SERVER_JOBS_SCHEDULER_H_

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "radiograph/v1/jobs.pb.h"
#include "server/store/job_store.h"

namespace radiograph {

// What a job asks of a slot.
struct JobNeeds {
  std::string analysis = {};
  int64_t version = 0;
  std::string device_kind = {};  // empty: any
  int64_t memory_bytes = 0;
  std::vector<std::string> crashed_on = {};  // slots; another is better
  auto operator<=>(const JobNeeds&) const = default;
};
JobNeeds NeedsOf(const JobRow& row);

struct QueuedJob {
  std::string id;
  std::string tenant;
  v1::JobPriority priority = v1::NORMAL;
  int64_t sequence = 0;  // age
  double seconds = 0;    // planned
  JobNeeds needs;
};

// Not safe for use from several threads.
class Scheduler {
 public:
  static constexpr double kQuantum = 1;     // seconds a turn
  static constexpr double kCostMin = 0.01;  // seconds that the shortest job counts as,
  static constexpr double kCostMax = 3600;  // and the longest: a plan is only a guess

  // A job that is here already is replaced.
  void Add(QueuedJob job);
  // False when it isn't here.
  bool Remove(const std::string& id);
  // Raises the class of a job that is here and has a lower one.
  void Raise(const std::string& id, v1::JobPriority priority);
  // Takes out the job whose turn it is among those that a slot fits, of tenants that may run one.
  std::optional<QueuedJob> Take(absl::FunctionRef<bool(const JobNeeds&)> fits,
                                absl::FunctionRef<bool(const std::string& tenant)> may_run);

 private:
  struct Tenant {
    double deficit = 0;
    int64_t turn = 0;  // order of arrival in the round
    std::map<JobNeeds, std::map<int64_t, QueuedJob>> waiting;
  };
  using Class = std::map<std::string, Tenant>;
  struct Place {
    int rank;
    std::string tenant;
    JobNeeds needs;
    int64_t sequence;
  };
  std::optional<QueuedJob> TakeFrom(Class& tenants, absl::FunctionRef<bool(const JobNeeds&)> fits,
                                    absl::FunctionRef<bool(const std::string&)> may_run);

  std::map<int, Class> classes_;  // by rank: the first goes first
  std::map<std::string, Place, std::less<>> places_;
  int64_t turns_ = 0;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_SCHEDULER_H_
