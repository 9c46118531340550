// Jobs and their events as rows. Knows nothing of what a job's life is: server/jobs decides, here
// is kept.
//
// A change runs `mutate` on the row as it is in the writer's transaction, so a check of (state,
// attempt, lease token) in `mutate` is a compare-and-set. Safe for use from many threads.
#ifndef RADIOGRAPH_SERVER_STORE_JOB_STORE_H_
#define RADIOGRAPH_SERVER_STORE_JOB_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "radiograph/v1/jobs.pb.h"
#include "radiograph/v1/workers.pb.h"
#include "server/store/database.h"

namespace radiograph {

// A job as it is stored: the message that clients see, and what is not theirs.
struct JobRow {
  int64_t sequence = 0;  // order of creation
  v1::Job job;
  int64_t memory_bytes = 0;    // that its run needs
  std::string cacheable;       // the cache key under which its success may be found; empty: never
  std::string request_digest;  // of the request that made it
  std::string lease_token;     // of the last attempt
  bool embedded = false;       // the last attempt's slot is in this server's own agent
  int64_t events = 0;          // stored so far
};

// What a slot can take.
struct SlotOffer {
  std::vector<v1::OfferedAnalysis> analyses = {};
  std::string device_kind = {};
  int64_t memory_bytes = 0;
};

class JobStore {
 public:
  explicit JobStore(Database* database) : database_(database) {}

  // Changes the row and tells what happened; not OK: nothing is written. `event` gets its number
  // here; an event without time is not stored. Runs on the writer's thread: pure, quick.
  using Mutate = std::function<absl::Status(JobRow& row, v1::JobEvent& event)>;
  // After the commit, on the writer's thread: the row as it is now, and its state before.
  struct Changed {
    JobRow row;
    v1::JobState before = v1::JOB_STATE_UNSPECIFIED;
    std::string request;  // of Claim: the text for the compute process
  };
  using Done = std::function<void(absl::StatusOr<Changed>)>;

  // Inserts a row with its first event; `request`: the text for the compute process. A row of that
  // request_id that exists already is handed to `done` instead (`before` is then its state).
  void Insert(JobRow row, v1::JobEvent event, std::string request, Done done);
  // NOT_FOUND for an unknown id. A result that `mutate` adds must have all its blobs here: else
  // FAILED_PRECONDITION naming them.
  void Change(const std::string& id, Mutate mutate, Done done);
  // The oldest QUEUED job that fits the offer; NOT_FOUND when there is none.
  void Claim(SlotOffer offer, Mutate mutate, Done done);

  absl::StatusOr<JobRow> Get(const std::string& id);
  absl::StatusOr<std::optional<JobRow>> FindRequest(const std::string& request_id);
  // The newest success with that cache key; `device_kind` empty: on any.
  absl::StatusOr<std::optional<v1::Job>> FindCached(const std::string& cache_key,
                                                    const std::string& device_kind);
  // The text for the compute process.
  absl::StatusOr<std::string> RequestText(const std::string& id);
  // Newest first. The attempts' stderr tails are left out. `fill` may complete each row's job.
  absl::StatusOr<v1::ListJobsResponse> List(const v1::ListJobsRequest& request,
                                            absl::FunctionRef<void(JobRow&)> fill);
  // All rows in that state, oldest first, handed over one by one.
  absl::Status ForEach(v1::JobState state, absl::FunctionRef<void(JobRow)> use);
  // Events after `after_sequence`, at most `limit`.
  absl::StatusOr<std::vector<v1::JobEvent>> Events(const std::string& id, int64_t after_sequence,
                                                   int64_t limit);
  absl::StatusOr<std::map<v1::JobState, int64_t>> CountByState();
  // When the oldest QUEUED job was made; InfiniteFuture when there is none.
  absl::StatusOr<absl::Time> OldestQueued();

 private:
  Database* const database_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_JOB_STORE_H_
