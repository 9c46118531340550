// Refusals for want of room: which limit, whose, what is used of it, and when to come back.
//
// They are RESOURCE_EXHAUSTED and carry, as payloads that travel as they are (server/rpc/status.h):
// google.rpc.ErrorInfo, whose reason names the limit; QuotaFailure, whose subject is "tenant:NAME"
// or "server"; and RetryInfo where waiting helps. Clients repeat a call only with that.
#ifndef RADIOGRAPH_SERVER_STORE_QUOTA_H_
#define RADIOGRAPH_SERVER_STORE_QUOTA_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace google::protobuf {
class Message;
}

namespace radiograph {

// Of what is shared, and is no setting, one tenant gets at most three quarters.
constexpr int64_t ShareOf(int64_t all) { return all - all / 4; }

enum class Quota {
  kCalls,
  kBlobStreams,
  kBlobStreamsPerTenant,
  kWaits,
  kWaitsPerTenant,
  kQueuedJobs,
  kQueuedJobsPerTenant,
  kSlots,
  kUploads,
  kUploadsPerTenant,
  kStoredBytes,
  kStoredBytesPerTenant,
  kDiskSpace,
};
absl::Span<const Quota> AllQuotas();
// "queued_jobs_per_tenant": a label of metrics. In capitals it is the reason in ErrorInfo.
absl::string_view NameOf(Quota quota);

struct QuotaRefusal {
  Quota quota;
  std::string tenant = {};                          // whose limit it is; empty: the server's
  std::string text;                                 // the limit, and what is used of it
  absl::Duration retry = absl::InfiniteDuration();  // infinite: waiting alone does not help
};
absl::Status QuotaExceeded(const QuotaRefusal& refusal);

// Adds a message of google.rpc as a payload.
absl::Status WithDetail(absl::Status status, const google::protobuf::Message& detail);
// google.rpc.ErrorInfo: `reason` in UPPER_SNAKE_CASE says precisely what happened, for programs.
absl::Status WithReason(absl::Status status, absl::string_view reason);
// google.rpc.RetryInfo: the same request may pass after `delay`.
absl::Status WithRetry(absl::Status status, absl::Duration delay);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_QUOTA_H_
