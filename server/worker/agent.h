// Runs a server's jobs on this machine's devices: a slot for each device, each with a warm compute
// process. Reaches the server through Workers and Blobs only. Without LibTorch.
//
// A slot holds a lease while its job is fetched, run and reported, and renews it by Synchronize.
// When the server can't be reached for the term of the lease, the job is stopped and forgotten: the
// server gives it to another.
//
// How an attempt ended is told as server/jobs/README.md says: want of memory apart from a crash,
// and what this machine's kernel refused (a full disk) apart from what the analysis refused.
#ifndef RADIOGRAPH_SERVER_WORKER_AGENT_H_
#define RADIOGRAPH_SERVER_WORKER_AGENT_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/worker/blob_source.h"
#include "server/worker/contact.h"

namespace radiograph {

struct AgentOptions {
  std::string name;                            // of the worker: its slots are "<name>/<device>"
  std::string server;                          // where it is, for the log
  std::string folder;                          // of its own: job folders; emptied by Start
  std::vector<std::string> devices = {"cpu"};  // "cpu" or the UUID of a CUDA device (devices.h)
  int64_t threads = 0;                         // of each compute process; 0: the usable cores
  std::string compute_binary;                  // path of radiograph-compute
  absl::Duration cancel_grace = absl::Seconds(2);
  std::string token;  // sent as "authorization: Bearer <token>"; empty: none
};

class Slot;

// The program must ignore SIGPIPE.
class Agent {
 public:
  Agent(AgentOptions options, std::shared_ptr<grpc::Channel> channel,
        std::unique_ptr<BlobSource> blobs);
  // Kills what still runs, without a report. Call Drain before.
  ~Agent();

  // Starts the compute processes in the background and begins to ask for work.
  absl::Status Start();
  // Takes no more work, lets jobs run on for `grace`, then stops them and reports them PREEMPTED.
  // Returns when all slots are at rest.
  void Drain(absl::Duration grace);

 private:
  const AgentOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<BlobSource> blobs_;
  const SystemClock clock_;
  Contact contact_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_AGENT_H_
