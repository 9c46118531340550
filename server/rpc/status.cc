#include "server/rpc/status.h"

#include <google/rpc/error_details.pb.h>
#include <grpcpp/support/error_details.h>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/catalog/params.h"

namespace radiograph {
namespace {

constexpr absl::string_view kGoogleTypes = "type.googleapis.com/google.rpc.";

template <typename T>
std::optional<T> PayloadOf(const absl::Status& status) {
  T message;
  absl::optional<absl::Cord> bytes =
      status.GetPayload(absl::StrCat("type.googleapis.com/", message.GetTypeName()));
  if (!bytes.has_value() || !message.ParseFromString(std::string(*bytes))) return std::nullopt;
  return message;
}

// The longest start of `text` that fits and doesn't cut a character.
absl::string_view Shortened(absl::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

// Invalid UTF-8 can't travel in a proto3 string.
std::string Text(absl::string_view text, size_t bytes_max) {
  return IsUtf8(text) ? std::string(Shortened(text, bytes_max)) : "(message is not UTF-8)";
}

google::rpc::BadRequest ToBadRequest(const std::vector<Violation>& violations) {
  google::rpc::BadRequest bad;
  for (const Violation& violation : violations) {
    if (bad.field_violations_size() == kViolationsMax) break;
    auto* to = bad.add_field_violations();
    to->set_field(Text(violation.field, 256));
    to->set_description(Text(violation.description, 1024));
  }
  return bad;
}

// A BadRequest is a violations payload here.
void AddDetail(const google::protobuf::Any& detail, absl::Status& status) {
  google::rpc::BadRequest bad;
  if (!detail.Is<google::rpc::BadRequest>()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  } else if (detail.UnpackTo(&bad)) {
    std::vector<Violation> violations;
    for (const auto& violation : bad.field_violations()) {
      violations.push_back({violation.field(), violation.description()});
    }
    ViolationsStatus(violations)
        .ForEachPayload(
            [&](absl::string_view url, const absl::Cord& bytes) { status.SetPayload(url, bytes); });
  }
}

}  // namespace

std::string ReasonOf(const absl::Status& status) {
  const auto info = PayloadOf<google::rpc::ErrorInfo>(status);
  return info.has_value() ? info->reason() : "";
}

std::optional<absl::Duration> RetryOf(const absl::Status& status) {
  const auto info = PayloadOf<google::rpc::RetryInfo>(status);
  if (!info.has_value()) return std::nullopt;
  return absl::Seconds(info->retry_delay().seconds()) +
         absl::Nanoseconds(info->retry_delay().nanos());
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status rpc;
  rpc.set_code(static_cast<int>(status.code()));
  rpc.set_message(Text(status.message(), kStatusMessageBytesMax));
  if (status.ok()) return rpc;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& bytes) {
    if (!absl::StartsWith(url, kGoogleTypes)) return;
    google::protobuf::Any* detail = rpc.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(bytes));
  });
  google::rpc::BadRequest bad = ToBadRequest(ViolationsOf(status));
  while (bad.field_violations_size() > 0) {
    google::protobuf::Any* detail = rpc.add_details();
    detail->PackFrom(bad);
    if (static_cast<int64_t>(rpc.ByteSizeLong()) <= kDetailsBytesMax) break;
    rpc.mutable_details()->RemoveLast();
    bad.mutable_field_violations()->RemoveLast();
  }
  if (static_cast<int64_t>(rpc.ByteSizeLong()) > kDetailsBytesMax) rpc.clear_details();
  return rpc;
}

absl::Status FromRpcStatus(const google::rpc::Status& rpc) {
  absl::Status status(static_cast<absl::StatusCode>(rpc.code()), rpc.message());
  if (status.ok()) return absl::OkStatus();
  for (const google::protobuf::Any& detail : rpc.details()) AddDetail(detail, status);
  return status;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status rpc = ToRpcStatus(status);
  if (rpc.details().empty()) {
    return grpc::Status(static_cast<grpc::StatusCode>(rpc.code()), rpc.message());
  }
  grpc::Status result;
  grpc::SetErrorDetails(rpc, &result);
  return result;
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status rpc;
  if (status.error_details().empty() || !rpc.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& detail : rpc.details()) AddDetail(detail, result);
  return result;
}

}  // namespace radiograph
