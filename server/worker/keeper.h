// Keeps for a running job: bundles go to the server as blobs, and come from it.
#ifndef RADIOGRAPH_SERVER_WORKER_KEEPER_H_
#define RADIOGRAPH_SERVER_WORKER_KEEPER_H_

#include <grpcpp/channel.h>

#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/process/keeper.h"
#include "radiograph/v1/workers.grpc.pb.h"
#include "server/worker/blob_source.h"
#include "server/worker/blob_transfer.h"

namespace radiograph {

// A Save or Load that takes longer fails: the job goes on without.
inline constexpr absl::Duration kKeepTimeMax = absl::Minutes(1);

// Of one lease.
class LeaseKeeper : public Keeper {
 public:
  struct Options {
    v1::Lease lease;
    std::string slot;  // for the log
    std::string token;
    absl::Duration time_max = kKeepTimeMax;
  };
  // `transfer` and `blobs` must outlive it.
  LeaseKeeper(Options options, std::shared_ptr<grpc::Channel> channel, BlobTransfer* transfer,
              BlobSource* blobs);

  absl::Status Save(const KeptName& name, const std::string& path, std::stop_token stop) override;
  absl::Status Load(const KeptName& name, const std::string& path, std::stop_token stop) override;

 private:
  absl::Status Upload(const KeptName& name, const std::string& path, std::stop_token stop);
  absl::Status Fetch(const KeptName& name, const std::string& path, std::stop_token stop);

  const Options options_;
  const std::unique_ptr<v1::Workers::Stub> stub_;
  BlobTransfer* const transfer_;
  BlobSource* const blobs_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_KEEPER_H_
