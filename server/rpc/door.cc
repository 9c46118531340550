#include "server/rpc/door.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/rpc/status.h"

namespace radiograph {
namespace {

// Counts one more, unless that is above the limit.
bool Take(std::atomic<int64_t>& count, int64_t limit) {
  if (count.fetch_add(1) < limit) return true;
  count.fetch_sub(1);
  return false;
}

absl::Status Full(absl::string_view what, int64_t limit) {
  const std::string text = absl::StrCat("the server works on ", limit, " ", what, " already");
  return WithQuota(WithRetry(absl::ResourceExhaustedError(text), absl::Milliseconds(200)), what,
                   absl::StrCat("at most ", limit, " at once"));
}

}  // namespace

absl::StatusOr<Door::Entry> Door::Enter(absl::string_view method,
                                        const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  auto found = metadata.find("authorization");
  if (found == metadata.end()) return Enter(method, absl::string_view());
  return Enter(method, absl::string_view(found->second.data(), found->second.size()));
}

absl::StatusOr<Door::Entry> Door::Enter(absl::string_view method, absl::string_view authorization) {
  ASSIGN_OR_RETURN(const Rule rule, FindRule(method));
  ASSIGN_OR_RETURN(Caller caller, authorization_.Check(method, rule.scopes, authorization));
  RETURN_IF_ERROR(Admit(rule.call_class));
  return Entry(this, rule.call_class, std::move(caller));
}

absl::Status Door::Admit(CallClass call_class) {
  if (call_class == CallClass::kWait) {
    return Take(waits_, options_.waits_max) ? absl::OkStatus() : Full("waits", options_.waits_max);
  }
  if (!Take(calls_, options_.calls_max)) return Full("calls", options_.calls_max);
  if (call_class == CallClass::kCall || Take(blob_streams_, options_.blob_streams_max)) {
    return absl::OkStatus();
  }
  calls_.fetch_sub(1);
  return Full("blob streams", options_.blob_streams_max);
}

void Door::Leave(CallClass call_class) {
  if (call_class == CallClass::kWait) {
    waits_.fetch_sub(1);
    return;
  }
  calls_.fetch_sub(1);
  if (call_class == CallClass::kBlobStream) blob_streams_.fetch_sub(1);
}

}  // namespace radiograph
