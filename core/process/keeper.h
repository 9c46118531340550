// What a running job keeps beyond itself: state for its next attempt, and memos, partial results
// for other jobs. Context (analyses/analysis.h) promises it to an analysis; the agent's side is a
// Keeper.
#ifndef RADIOGRAPH_CORE_PROCESS_KEEPER_H_
#define RADIOGRAPH_CORE_PROCESS_KEEPER_H_

#include <cstdint>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace radiograph {

inline constexpr int64_t kKeptBytesMax = int64_t{1} << 30;  // of one bundle
inline constexpr size_t kKeptKeyBytesMax = 64;

// One of the two is given.
struct KeptName {
  std::string key;   // of this job's state
  std::string memo;  // SHA-256 of what was computed from what
};
// INVALID_ARGUMENT unless there is a key, 1..64 of [A-Za-z0-9_.-], or a memo, a SHA-256.
absl::Status CheckKeptName(absl::string_view key, absl::string_view memo);

// Called by the thread that drives the compute process, which waits for the answer. A stop request
// makes a call return soon; none takes for ever.
class Keeper {
 public:
  virtual ~Keeper() = default;
  // Durable when OK; what was kept under that name before is replaced. ABORTED when the job is
  // another's by now. With any other error nothing has changed.
  virtual absl::Status Save(const KeptName& name, const std::string& path,
                            std::stop_token stop) = 0;
  // Makes a read-only file of it at `path`, where there is none. NOT_FOUND when nothing is kept
  // there.
  virtual absl::Status Load(const KeptName& name, const std::string& path,
                            std::stop_token stop) = 0;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_PROCESS_KEEPER_H_
