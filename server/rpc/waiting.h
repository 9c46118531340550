// The calls that wait, on the callback API: they hold no thread while nothing happens, and their
// reactions never block (the Backend's pool asks the store for them).
#ifndef RADIOGRAPH_SERVER_RPC_WAITING_H_
#define RADIOGRAPH_SERVER_RPC_WAITING_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "radiograph/v1/jobs.pb.h"
#include "radiograph/v1/workers.pb.h"
#include "server/rpc/backend.h"

namespace radiograph {

// Each answers with a reactor that deletes itself once the call is done.
grpc::ServerWriteReactor<v1::JobEvent>* Watch(Backend& backend,
                                              grpc::CallbackServerContext* context,
                                              const v1::WatchJobRequest* request);
grpc::ServerUnaryReactor* Wait(Backend& backend, grpc::CallbackServerContext* context,
                               const v1::WaitJobRequest* request, v1::Job* response);
grpc::ServerUnaryReactor* Synchronize(Backend& backend, grpc::CallbackServerContext* context,
                                      const v1::SynchronizeRequest* request,
                                      v1::SynchronizeResponse* response);

// For how long Wait waits at most: the request's timeout or `wait_max`, and always less than the
// call's deadline, so that the answer still arrives.
absl::Duration WaitLimit(const v1::WaitJobRequest& request, absl::Duration until_deadline,
                         absl::Duration wait_max);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_WAITING_H_
