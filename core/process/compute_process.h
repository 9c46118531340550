// Drives one radiograph-compute process: start, jobs one after the other, cancel, kill. The
// protocol is one JSON object a line, on the child's descriptors 3 (to the child) and 4 (from it):
//   to:    {"run": "<job folder, with C escapes>", "keeps": true}   {"cancel": true}
//          {"answer": {"id": 1, "code": 0, "message": ""}}
//   from:  {"ready": <Engine>, "analyses": [["bilinear.spectrum", 1], ...], "memory_bytes": ...}
//          {"started": true}
//          {"progress": {"fraction": 0.5, "phase": "eigh", "message": "..."}}
//          {"load": {"id": 1, "key": "null", "memo": ""}}   {"save": ...}
//          {"done": {"code": 0, "message": "", "payload": ..., "seconds": 1.5, "peak_host_bytes":
//          ..., ...}}
#ifndef RADIOGRAPH_CORE_PROCESS_COMPUTE_PROCESS_H_
#define RADIOGRAPH_CORE_PROCESS_COMPUTE_PROCESS_H_

#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/cause.h"
#include "core/process/keeper.h"
#include "core/results/result.h"

namespace radiograph {

struct ComputeOptions {
  std::string binary;          // path of radiograph-compute
  std::string device = "cpu";  // "cpu" or the UUID of a CUDA device
  int64_t threads = 0;         // 0: the usable cores
  absl::Duration start_timeout = absl::Seconds(60);
  absl::Duration cancel_grace = absl::Seconds(2);  // from cancel to kill
  std::string system_root = {};  // stands before /proc and /sys (host_memory.h), for tests
};

struct Progress {
  double fraction = 0;  // 0..1
  std::string phase;
  std::string message;
};

enum class RunEnd {
  kFinished,   // the child answered; `status` is the analysis' own
  kCancelled,  // asked to stop; the child may have been killed for it
  kCrashed,    // the child died; `status` says how, `stderr_tail` what it said last
  // Memory was not enough: the child said so, or the kernel killed it for that and has counted it.
  // `status` is RESOURCE_EXHAUSTED, `memory` has the numbers. A kill that the kernel did not count
  // is a crash.
  kOutOfMemory,
};

struct RunOutcome {
  RunEnd end = RunEnd::kFinished;
  absl::Status status;
  MemoryNeed memory;
  double seconds = 0;
  int64_t peak_host_bytes = 0;
  int64_t peak_device_bytes = 0;
  std::string stderr_tail;  // the last 64 KiB at most
};

// Used from one thread at a time. Destruction kills the child and waits for it.
class ComputeProcess {
 public:
  // Returns when the child has said "ready". UNAVAILABLE with the stderr tail when it died or was
  // silent.
  static absl::StatusOr<std::unique_ptr<ComputeProcess>> Start(const ComputeOptions& options);
  virtual ~ComputeProcess() = default;

  virtual const Engine& engine() const = 0;
  // (name, version) of all analyses the child offers.
  virtual const std::vector<std::pair<std::string, int64_t>>& analyses() const = 0;
  // That a job may use of the device's memory.
  virtual int64_t memory_bytes() const = 0;
  virtual int pid() const = 0;
  // False once the child has died or was killed: start another.
  virtual bool alive() const = 0;

  // Runs the job in `folder` to its end. `on_progress` is called on this thread. After a stop
  // request the child gets cancel_grace to end by itself, then it is killed. `on_started` once the
  // child has begun. `keeper` may be null: then nothing is kept.
  virtual RunOutcome Run(const std::string& folder, absl::FunctionRef<void()> on_started,
                         absl::FunctionRef<void(const Progress&)> on_progress, std::stop_token stop,
                         Keeper* keeper) = 0;
};

// Where the programs of one build find each other: beside this executable. NOT_FOUND naming the
// path.
absl::StatusOr<std::string> SiblingProgram(absl::string_view name);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_PROCESS_COMPUTE_PROCESS_H_
