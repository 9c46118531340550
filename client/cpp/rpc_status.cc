#include "client/cpp/rpc_status.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cpp/client.h"
#include "core/base/address.h"

namespace radiograph {
namespace {

// A TLS server that gets no TLS just hangs up, so the port itself is the only sign.
constexpr char kHttpPortEnd[] = ":7434";
constexpr char kHttpPortHint[] = "; that is usually the port for HTTP, and 7433 that for gRPC";

constexpr char kPayload[] = "radiograph.client/from_server";

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  // Details that don't parse say nothing; the message stands for itself.
  if (!details.ParseFromString(status.error_details())) details.Clear();
  return details;
}

// What the details say beyond the message.
std::vector<std::string> Additions(const grpc::Status& status) {
  const google::rpc::Status details = Details(status);
  std::vector<std::string> additions;
  for (const google::protobuf::Any& detail : details.details()) {
    google::rpc::BadRequest bad;
    google::rpc::QuotaFailure quota;
    if (detail.UnpackTo(&bad)) {
      for (const auto& violation : bad.field_violations()) {
        if (absl::StrContains(status.error_message(), violation.description())) continue;
        additions.push_back(absl::StrCat(violation.field(), " ", violation.description()));
      }
    } else if (detail.UnpackTo(&quota)) {
      for (const auto& violation : quota.violations()) {
        if (absl::StrContains(status.error_message(), violation.description())) continue;
        additions.push_back(absl::StrCat(violation.subject(), " ", violation.description()));
      }
    }
  }
  return additions;
}

// gRPC 1.51 says "failed to connect to all addresses; last error: UNKNOWN: ipv4:...: Failed to
// connect to remote host: Connection refused", and "tcp handshaker shutdown" when connecting takes
// too long.
std::string Reason(absl::string_view message) {
  if (absl::StrContains(message, "handshaker shutdown")) return "connecting takes too long";
  size_t colon = message.rfind(": ");
  return std::string(colon == message.npos ? message : message.substr(colon + 2));
}

}  // namespace

absl::Status FromRpc(const grpc::Status& status, absl::string_view endpoint) {
  if (status.ok()) return absl::OkStatus();
  std::string message = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty()) {
    const absl::string_view why = WhyNoGrpc(message);
    message = why.empty()
                  ? absl::StrCat("the server at ", endpoint, " does not answer (", Reason(message),
                                 absl::EndsWith(endpoint, kHttpPortEnd) ? kHttpPortHint : "", ")")
                  : absl::StrCat("no server to speak to at ", endpoint, ": ", why);
  }
  std::vector<std::string> additions = Additions(status);
  if (!additions.empty()) absl::StrAppend(&message, ": ", absl::StrJoin(additions, "; "));
  if (message.empty()) message = absl::StrCat("the server at ", endpoint, " gave no reason");
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrReplaceAll(message, {{"\n", " "}}));
  result.SetPayload(kPayload, absl::Cord());
  return result;
}

bool FromServer(const absl::Status& status) { return status.GetPayload(kPayload).has_value(); }

std::optional<absl::Duration> RetryDelay(const grpc::Status& status) {
  const google::rpc::Status details = Details(status);
  for (const google::protobuf::Any& detail : details.details()) {
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&retry)) {
      return absl::Seconds(retry.retry_delay().seconds()) +
             absl::Nanoseconds(retry.retry_delay().nanos());
    }
  }
  return std::nullopt;
}

bool IsRetryable(const grpc::Status& status) {
  return (status.error_code() == grpc::StatusCode::UNAVAILABLE &&
          WhyNoGrpc(status.error_message()).empty()) ||
         (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED && RetryDelay(status));
}

bool IsBrokenStream(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::UNKNOWN:
      return true;
    default:
      return IsRetryable(status);
  }
}

}  // namespace radiograph
