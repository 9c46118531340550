// The gRPC services: thin handlers over plain functions (artifacts.h, analyses.h, blobs.h,
// create_job.h, waiting.h) and over the store and the queue. What works uses the synchronous API,
// what waits the callback API.
#ifndef RADIOGRAPH_SERVER_RPC_SERVICES_H_
#define RADIOGRAPH_SERVER_RPC_SERVICES_H_

#include <grpcpp/impl/service_type.h>

#include <memory>
#include <vector>

#include "server/rpc/backend.h"

namespace radiograph {

// All services of package radiograph.v1. `backend` must outlive them.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(Backend* backend);

// What this server allows, for GetInfo.
v1::Limits MakeLimits(const Door::Options& door, const BlobStore::Options& blobs,
                      const JobsOptions& jobs);

inline constexpr int kRpcMessageBytesMax = 4 << 20;  // what a client may send in one message
inline constexpr int kMetadataBytesMax = 16 << 10;

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_SERVICES_H_
