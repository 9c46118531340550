// One device with its compute process: leases in, results out.
#ifndef RADIOGRAPH_SERVER_WORKER_SLOT_H_
#define RADIOGRAPH_SERVER_WORKER_SLOT_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "core/process/compute_process.h"
#include "core/process/job_folder.h"
#include "server/worker/blob_source.h"
#include "server/worker/blob_transfer.h"
#include "server/worker/slot_link.h"

namespace radiograph {

class Slot {
 public:
  struct Options {
    SlotLinkOptions link;
    ComputeOptions compute;
    std::string folder;  // exists; holds the folder of the job at hand
  };
  // Starts at once. `blobs` outlives it.
  Slot(Options options, std::shared_ptr<grpc::Channel> channel, BlobSource* blobs);
  // Kills what runs.
  ~Slot();

  SlotLink& link() { return link_; }

 private:
  void Work();
  absl::Status EnsureCompute();
  v1::AttemptReport Attempt(const SlotLink::Job& job);
  // Fills the request of the job, whose folder is made.
  absl::Status Fetch(const SlotLink::Job& job, JobRequest& request);
  RunOutcome Run(const SlotLink::Job& job);
  absl::Status Upload(std::stop_token stop, v1::AttemptReport& report);

  const Options options_;
  const std::string job_folder_;
  const std::shared_ptr<grpc::Channel> channel_;
  BlobSource* const blobs_;
  BlobTransfer transfer_;
  SlotLink link_;
  std::unique_ptr<ComputeProcess> compute_;  // of the worker thread
  std::jthread worker_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_SLOT_H_
