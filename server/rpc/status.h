// The one conversion between absl::Status and what travels: google.rpc.Status inside messages, and
// grpc::Status with google.rpc.Status in its details.
//
// On the way out: violations (core/catalog/params.h) become google.rpc.BadRequest; payloads made
// here (ErrorInfo, RetryInfo, QuotaFailure) travel as they are. Details travel in metadata, which
// is small, so there is a limit: kDetailsBytesMax in all; violations are cut first, then the
// message.
#ifndef RADIOGRAPH_SERVER_RPC_STATUS_H_
#define RADIOGRAPH_SERVER_RPC_STATUS_H_

#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace radiograph {

inline constexpr int64_t kDetailsBytesMax = 4096;
inline constexpr int64_t kStatusMessageBytesMax = 1024;

// google.rpc.ErrorInfo: `reason` in UPPER_SNAKE_CASE says precisely what happened, for programs.
absl::Status WithReason(absl::Status status, absl::string_view reason);
// google.rpc.RetryInfo: the same request may pass after `delay`. Clients retry RESOURCE_EXHAUSTED
// only with this.
absl::Status WithRetry(absl::Status status, absl::Duration delay);
// google.rpc.QuotaFailure: `subject` ("streams", "queued jobs") is at its limit.
absl::Status WithQuota(absl::Status status, absl::string_view subject, absl::string_view limit);

// Empty or nullopt when the status has none.
std::string ReasonOf(const absl::Status& status);
std::optional<absl::Duration> RetryOf(const absl::Status& status);

google::rpc::Status ToRpcStatus(const absl::Status& status);
absl::Status FromRpcStatus(const google::rpc::Status& status);

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_STATUS_H_
