// What running jobs keep, as rows that name blobs: state of a job, for its own next attempt, and
// memos, partial results for other jobs of the tenant. Each counts for the engine that made it
// alone: another's numbers would change the bytes of a result.
//
// While a job is open its state needs its blobs; what was replaced or dropped with the job's end
// goes with the next collection (collector.h), without the time that other blobs have. A memo may
// be forgotten at any time.
#ifndef RADIOGRAPH_SERVER_STORE_KEEPSAKES_H_
#define RADIOGRAPH_SERVER_STORE_KEEPSAKES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "radiograph/v1/blobs.pb.h"
#include "radiograph/v1/server.pb.h"
#include "server/store/connection.h"

namespace radiograph {

inline constexpr int64_t kStateKeysMax = 16;           // of a job
inline constexpr int64_t kMemosPerTenantMax = 10'000;  // the least recently used goes
// The note (collector.h) of a blob that was state and is no more: of long ago.
inline constexpr int64_t kStateUnneededSince = 1;
inline constexpr absl::Duration kMemoUseGrain = absl::Hours(1);  // a use is noted this exactly

struct KeptState {
  v1::Blob blob;
  int64_t attempt = 0;  // that saved it
};

// Of one transaction, as JobTransaction. A job is named by its sequence.
class Keepsakes {
 public:
  explicit Keepsakes(Connection* connection) : connection_(*connection) {}

  // In place of what was kept under `key`: the blob of that, if nothing that jobs keep names it any
  // more. FAILED_PRECONDITION when the blob isn't here,
  // RESOURCE_EXHAUSTED when the job has kStateKeysMax other keys.
  absl::StatusOr<std::optional<std::string>> SaveState(int64_t job, const std::string& key,
                                                       const v1::Engine& engine,
                                                       const KeptState& state);
  absl::StatusOr<std::optional<KeptState>> LoadState(int64_t job, const std::string& key,
                                                     const v1::Engine& engine);
  // The run goes on as another job's, which has none of its own.
  absl::Status MoveState(int64_t from, int64_t to);
  absl::Status DropState(int64_t job);

  // `digest` says what was computed from what. FAILED_PRECONDITION as above.
  absl::Status SaveMemo(const std::string& tenant, const std::string& digest,
                        const v1::Engine& engine, const v1::Blob& blob, absl::Time now);
  // Notes the use.
  absl::StatusOr<std::optional<v1::Blob>> LoadMemo(const std::string& tenant,
                                                   const std::string& digest,
                                                   const v1::Engine& engine, absl::Time now);
  // Those that were last used before `time`: how many there are, and forgets them.
  absl::StatusOr<int64_t> CountMemosUnusedSince(absl::Time time);
  absl::Status DropMemosUnusedSince(absl::Time time);

 private:
  // Notes that the blob is unneeded; false while something that jobs keep names it.
  absl::StatusOr<bool> Unneed(const std::string& sha256);
  absl::Status RequireBlob(const std::string& name, const v1::Blob& blob);
  Connection& connection_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_KEEPSAKES_H_
