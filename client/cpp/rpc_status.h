// gRPC's statuses as ours, and which of them are worth another attempt.
#ifndef RADIOGRAPH_CLIENT_CPP_RPC_STATUS_H_
#define RADIOGRAPH_CLIENT_CPP_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace radiograph {

// One line: the server's message, then those violations and reasons of its details that the message
// does not hold already. `endpoint` is named when the server could not be reached.
absl::Status FromRpc(const grpc::Status& status, absl::string_view endpoint);

// The delay that the server asks for in RetryInfo.
std::optional<absl::Duration> RetryDelay(const grpc::Status& status);

// UNAVAILABLE, unless it is no gRPC server that answered (WhyNoGrpc), or RESOURCE_EXHAUSTED with
// RetryInfo.
bool IsRetryable(const grpc::Status& status);

// Also what a stream may end with when the server stops or its deadline passes.
bool IsBrokenStream(const grpc::Status& status);

}  // namespace radiograph

#endif  // RADIOGRAPH_CLIENT_CPP_RPC_STATUS_H_
