// Blob streams have few places, and each holds a thread: a client that neither sends nor takes
// anything for a while loses its place. What it has sent is kept, to be resumed.
#ifndef RADIOGRAPH_SERVER_RPC_IDLE_LIMIT_H_
#define RADIOGRAPH_SERVER_RPC_IDLE_LIMIT_H_

#include <grpcpp/server_context.h>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace radiograph {

// For one call, from the thread of its handler.
class IdleLimit {
 public:
  IdleLimit(grpc::ServerContext* context, absl::Duration idle_max)
      : context_(context), idle_max_(idle_max) {}

  // What `step` answers, a read or a write of the stream. When that takes longer than idle_max the
  // call is cancelled, and with it the step, which then answers false.
  bool Wait(absl::FunctionRef<bool()> step);

 private:
  grpc::ServerContext* const context_;
  const absl::Duration idle_max_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_IDLE_LIMIT_H_
