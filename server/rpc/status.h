// The one conversion between absl::Status and what travels: google.rpc.Status inside messages, and
// grpc::Status with google.rpc.Status in its details.
//
// On the way out: violations (core/catalog/params.h) become google.rpc.BadRequest; the payloads of
// server/store/quota.h (ErrorInfo, RetryInfo, QuotaFailure) travel as they are. Details travel in
// metadata, which is small, so there is a limit: kDetailsBytesMax in all; violations are cut first,
// then the message.
#ifndef RADIOGRAPH_SERVER_RPC_STATUS_H_
#define RADIOGRAPH_SERVER_RPC_STATUS_H_

#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/store/quota.h"

namespace radiograph {

inline constexpr int64_t kDetailsBytesMax = 4096;
inline constexpr int64_t kStatusMessageBytesMax = 1024;

// Empty or nullopt when the status has none.
std::string ReasonOf(const absl::Status& status);
std::optional<absl::Duration> RetryOf(const absl::Status& status);

google::rpc::Status ToRpcStatus(const absl::Status& status);
absl::Status FromRpcStatus(const google::rpc::Status& status);

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_STATUS_H_
