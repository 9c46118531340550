#include "server/rpc/door.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "server/rpc/status.h"

namespace radiograph {
namespace {

constexpr Rule kRules[] = {
    {"Server.GetInfo", Scope::kRead, CallClass::kCall},
    {"Blobs.FindMissing", Scope::kUpload, CallClass::kCall},
    {"Blobs.Write", Scope::kUpload, CallClass::kBlobStream},
    {"Blobs.QueryWriteStatus", Scope::kUpload, CallClass::kCall},
    {"Blobs.Read", Scope::kRead, CallClass::kBlobStream},
    {"Artifacts.Create", Scope::kSubmit, CallClass::kCall},
    {"Artifacts.Get", Scope::kRead, CallClass::kCall},
    {"Artifacts.List", Scope::kRead, CallClass::kCall},
    {"Artifacts.ListTensors", Scope::kRead, CallClass::kCall},
    {"Artifacts.Delete", Scope::kSubmit, CallClass::kCall},
    {"Analyses.List", Scope::kRead, CallClass::kCall},
    {"Analyses.Get", Scope::kRead, CallClass::kCall},
    {"Jobs.Create", Scope::kSubmit, CallClass::kCall},
    {"Jobs.Get", Scope::kRead, CallClass::kCall},
    {"Jobs.List", Scope::kRead, CallClass::kCall},
    {"Jobs.Watch", Scope::kRead, CallClass::kWait},
    {"Jobs.Wait", Scope::kRead, CallClass::kWait},
    {"Jobs.Cancel", Scope::kSubmit, CallClass::kCall},
    {"Jobs.Retry", Scope::kSubmit, CallClass::kCall},
    {"Jobs.Delete", Scope::kSubmit, CallClass::kCall},
    {"Workers.Synchronize", Scope::kWorker, CallClass::kWait},
    {"Workers.List", Scope::kRead, CallClass::kCall},
    {"Workers.Drain", Scope::kSubmit, CallClass::kCall},
};

absl::StatusOr<Rule> FindRule(absl::string_view method) {
  for (const Rule& rule : kRules) {
    if (rule.method == method) return rule;
  }
  return absl::InternalError(absl::StrCat(method, " has no rule"));
}

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

absl::Span<const Rule> Rules() { return kRules; }

Door::Door(Options options, absl::string_view embedded_token)
    : options_(options), embedded_token_digest_(Sha256Hex(embedded_token)) {}

absl::StatusOr<Door::Entry> Door::Enter(absl::string_view method,
                                        const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  auto found = metadata.find("authorization");
  if (found == metadata.end()) return Enter(method, absl::string_view());
  return Enter(method, absl::string_view(found->second.data(), found->second.size()));
}

absl::StatusOr<Door::Entry> Door::Enter(absl::string_view method, absl::string_view authorization) {
  ASSIGN_OR_RETURN(const Rule rule, FindRule(method));
  ASSIGN_OR_RETURN(const Caller caller, Identify(rule, authorization));
  RETURN_IF_ERROR(Admit(rule.call_class));
  return Entry(this, rule.call_class, caller);
}

absl::StatusOr<Caller> Door::Identify(const Rule& rule, absl::string_view authorization) const {
  if (authorization.empty()) return Caller{};
  if (!absl::ConsumePrefix(&authorization, "Bearer ") ||
      Sha256Hex(authorization) != embedded_token_digest_) {
    return absl::UnauthenticatedError("this token is not known here");
  }
  if (rule.scope == Scope::kSubmit) {
    return absl::PermissionDeniedError(
        absl::StrCat("a worker's token does not allow ", rule.method));
  }
  return Caller{.embedded = true};
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
