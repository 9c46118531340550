// Jobs and their events as rows. Knows nothing of what a job's life is: server/jobs decides, here
// is kept.
//
// A change reads rows and writes rows inside one transaction of the writer's thread, so a check of
// (state, attempt, lease token) in its body is a compare-and-set. Safe for use from many threads.
#ifndef RADIOGRAPH_SERVER_STORE_JOB_STORE_H_
#define RADIOGRAPH_SERVER_STORE_JOB_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "radiograph/v1/jobs.pb.h"
#include "server/store/database.h"
#include "server/store/keepsakes.h"
#include "server/store/tenant.h"

namespace radiograph {

// A job as a caller names it: another tenant's job does not exist.
struct JobKey {
  std::string tenant;
  std::string id;
};

// A job as it is stored: the message that clients see, and what is not theirs.
struct JobRow {
  int64_t sequence = 0;  // order of creation
  v1::Job job;
  int64_t memory_bytes = 0;    // that its run needs
  double planned_seconds = 0;  // that its run may take
  std::string cacheable;       // the cache key under which its success may be found; empty: never
  std::string request_digest;  // of the request that made it
  std::string lease_token;     // of the last attempt
  bool embedded = false;       // the last attempt's slot is in this server's own agent
  int64_t events = 0;          // stored so far
};

// How far a job is: what its watchers ask for again and again.
struct JobHead {
  int64_t sequence = 0;
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  int64_t events = 0;
};

// What a committed transaction did to one job. `before` is unspecified for a new one.
struct JobChange {
  JobRow row;
  v1::JobState before = v1::JOB_STATE_UNSPECIFIED;
};

// The rows as one transaction sees them. Of the writer's thread, for as long as the body runs.
class JobTransaction {
 public:
  explicit JobTransaction(Connection* connection) : connection_(*connection) {}

  // NOT_FOUND.
  absl::StatusOr<JobRow> Get(const std::string& id);
  absl::StatusOr<JobRow> Get(const JobKey& key);
  // The RUNNING job whose lease that is: the compare-and-set of all that a lease's holder does.
  // ABORTED when there is none.
  absl::StatusOr<JobRow> GetLeased(const std::string& lease_token);
  absl::StatusOr<std::optional<JobRow>> FindRequest(const std::string& tenant,
                                                    const std::string& request_id);
  // The oldest job that waits or runs under that cache key and is not merged into another.
  absl::StatusOr<std::optional<JobRow>> FindInFlight(const std::string& tenant,
                                                     const std::string& cache_key);
  // The newest successes with that cache key, at most `limit`.
  absl::StatusOr<std::vector<JobRow>> FindCached(const std::string& tenant,
                                                 const std::string& cache_key, int64_t limit);
  // The jobs that wait for the result of `id`, oldest first.
  absl::StatusOr<std::vector<JobRow>> MergedInto(const std::string& id);
  // The text for the compute process.
  absl::StatusOr<std::string> RequestText(const JobRow& row);

  // Stores a new job with its first event. FAILED_PRECONDITION naming the blobs of its inputs and
  // of its result that its tenant doesn't possess.
  absl::Status Insert(JobRow row, v1::JobEvent event, const std::string& request);
  // Stores what became of a job that was read here; an event without time is left out. A result
  // must have all its blobs here: else FAILED_PRECONDITION naming them.
  absl::Status Put(JobRow row, v1::JobEvent event = {});

  // What jobs keep. Put drops the state of a job that has ended.
  Keepsakes keepsakes() { return Keepsakes(&connection_); }

  // Forgets a job that was read here, with its events.
  absl::Status Delete(const JobRow& row);

  std::vector<JobChange>& changes() { return changes_; }

 private:
  absl::StatusOr<std::vector<JobRow>> ReadAll(Statement& statement);

  Connection& connection_;
  std::map<int64_t, v1::JobState> before_;  // of the rows read, by sequence
  std::vector<JobChange> changes_;
};

class JobStore {
 public:
  explicit JobStore(Database* database) : database_(database) {}

  // Runs `body`, pure and quick, on the writer's thread; not OK: nothing is written. After the
  // commit `done` gets, on that thread, what changed, in order.
  using Body = std::function<absl::Status(JobTransaction&)>;
  using Changes = absl::StatusOr<std::vector<JobChange>>;
  using Done = std::function<void(Changes)>;
  void Transact(Body body, Done done);

  // NOT_FOUND.
  absl::StatusOr<JobRow> Get(const JobKey& key);
  absl::StatusOr<std::optional<JobRow>> FindRequest(const std::string& tenant,
                                                    const std::string& request_id);
  absl::StatusOr<std::string> RequestText(const JobRow& row);
  // Runs `body`, which must not write, on a snapshot.
  absl::Status Read(absl::FunctionRef<absl::Status(JobTransaction&)> body);
  // What the request's filter and order say (message_filter.h, job_scan.h). A page may hold fewer
  // jobs than asked, or none, and yet a token to go on with: a call looks at so many rows only. A
  // job that is there all the time is listed once, whatever comes and goes meanwhile; by end_time,
  // one that ends meanwhile may be missed. The attempts' stderr tails are left out. `fill` may
  // complete each row's job.
  absl::StatusOr<v1::ListJobsResponse> List(const std::string& tenant,
                                            const v1::ListJobsRequest& request,
                                            absl::FunctionRef<void(JobRow&)> fill);
  // All rows in that state, oldest first, handed over one by one.
  absl::Status ForEach(v1::JobState state, absl::FunctionRef<void(JobRow)> use);
  // NOT_FOUND.
  absl::StatusOr<JobHead> Head(const JobKey& key);
  // Events after `after_sequence`, at most `limit`, and the head as of the same moment. NOT_FOUND.
  struct EventPage {
    JobHead head;
    std::vector<v1::JobEvent> events;
  };
  absl::StatusOr<EventPage> Events(const JobKey& key, int64_t after_sequence, int64_t limit);
  // By tenant and state.
  using Counts = std::map<std::pair<std::string, v1::JobState>, int64_t>;
  absl::StatusOr<Counts> Count();
  // When the oldest QUEUED job was made; InfiniteFuture when there is none.
  absl::StatusOr<absl::Time> OldestQueued();

 private:
  Database* const database_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_JOB_STORE_H_
