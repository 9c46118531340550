#include "server/store/quota.h"

#include <google/rpc/error_details.pb.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace radiograph {
namespace {

constexpr Quota kQuotas[] = {
    Quota::kCalls,       Quota::kBlobStreams,          Quota::kBlobStreamsPerTenant,
    Quota::kWaits,       Quota::kWaitsPerTenant,       Quota::kQueuedJobs,
    Quota::kSlots,       Quota::kQueuedJobsPerTenant,  Quota::kUploads,
    Quota::kStoredBytes, Quota::kStoredBytesPerTenant, Quota::kUploadsPerTenant,
    Quota::kDiskSpace};

}  // namespace

absl::Span<const Quota> AllQuotas() { return kQuotas; }

absl::string_view NameOf(Quota quota) {
  switch (quota) {
    case Quota::kCalls:
      return "calls";
    case Quota::kBlobStreams:
      return "blob_streams";
    case Quota::kBlobStreamsPerTenant:
      return "blob_streams_per_tenant";
    case Quota::kWaits:
      return "waits";
    case Quota::kWaitsPerTenant:
      return "waits_per_tenant";
    case Quota::kQueuedJobs:
      return "queued_jobs";
    case Quota::kQueuedJobsPerTenant:
      return "queued_jobs_per_tenant";
    case Quota::kSlots:
      return "slots";
    case Quota::kUploads:
      return "uploads";
    case Quota::kUploadsPerTenant:
      return "uploads_per_tenant";
    case Quota::kStoredBytes:
      return "stored_bytes";
    case Quota::kStoredBytesPerTenant:
      return "stored_bytes_per_tenant";
    case Quota::kDiskSpace:
      return "disk_space";
  }
  return "";
}

absl::Status QuotaExceeded(const QuotaRefusal& refusal) {
  absl::Status status = WithReason(absl::ResourceExhaustedError(refusal.text),
                                   absl::AsciiStrToUpper(NameOf(refusal.quota)));
  google::rpc::QuotaFailure failure;
  auto* violation = failure.add_violations();
  violation->set_subject(refusal.tenant.empty() ? "server"
                                                : absl::StrCat("tenant:", refusal.tenant));
  violation->set_description(refusal.text);
  status = WithDetail(std::move(status), failure);
  if (refusal.retry == absl::InfiniteDuration()) return status;
  return WithRetry(std::move(status), refusal.retry);
}

absl::Status WithDetail(absl::Status status, const google::protobuf::Message& detail) {
  status.SetPayload(absl::StrCat("type.googleapis.com/", detail.GetTypeName()),
                    absl::Cord(detail.SerializeAsString()));
  return status;
}

absl::Status WithReason(absl::Status status, absl::string_view reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("radiograph");
  return WithDetail(std::move(status), info);
}

absl::Status WithRetry(absl::Status status, absl::Duration delay) {
  google::rpc::RetryInfo info;
  const int64_t nanoseconds = absl::ToInt64Nanoseconds(delay);
  info.mutable_retry_delay()->set_seconds(nanoseconds / 1'000'000'000);
  info.mutable_retry_delay()->set_nanos(static_cast<int>(nanoseconds % 1'000'000'000));
  return WithDetail(std::move(status), info);
}

}  // namespace radiograph
