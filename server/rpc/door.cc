#include "server/rpc/door.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/tenant.h"

namespace radiograph {
namespace {

constexpr absl::Duration kRetryCall = absl::Milliseconds(200);
constexpr absl::Duration kRetryWait = absl::Seconds(1);  // those inside stay long

// One limit, and what it is about.
struct Place {
  Quota quota;
  absl::string_view what;
  int64_t used, limit;
  bool of_tenant = false;
};

absl::Status Full(const Place& place, const std::string& crowd) {
  const bool is_wait = place.quota == Quota::kWaits || place.quota == Quota::kWaitsPerTenant;
  const std::string whose = place.of_tenant ? absl::StrCat("tenant ", crowd) : "the server";
  return QuotaExceeded({.quota = place.quota,
                        .tenant = place.of_tenant ? crowd : "",
                        .text = absl::StrCat(whose, " has ", place.used, " ", place.what,
                                             " at once, of at most ", place.limit),
                        .retry = is_wait ? kRetryWait : kRetryCall});
}

// Adds `by` to what such a call counts as.
void Count(Door::Inside& inside, CallClass call_class, int64_t by) {
  if (call_class == CallClass::kWait) {
    inside.waits += by;
    return;
  }
  inside.calls += by;
  if (call_class == CallClass::kBlobStream) inside.blob_streams += by;
}

Door::Options WithShares(Door::Options options, bool has_tenants) {
  if (has_tenants) return options;
  options.blob_streams_per_tenant_max = options.blob_streams_max;
  options.waits_per_tenant_max = options.waits_max;
  return options;
}

}  // namespace

Door::Door(Options options, const Authorization* authorization)
    : options_(WithShares(options, authorization->wants_tokens())),
      authorization_(*authorization) {}

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
  const bool is_worker = rule.scopes == kWorker || caller.tenant == kEveryTenant;
  std::string crowd = is_worker ? kEveryTenant : caller.tenant;
  RETURN_IF_ERROR(Admit(rule.call_class, crowd));
  return Entry(this, rule.call_class, std::move(crowd), std::move(caller));
}

absl::Status Door::Admit(CallClass call_class, const std::string& crowd) {
  absl::MutexLock lock(&mu_);
  const auto found = inside_.find(crowd);
  const Inside own = found == inside_.end() ? Inside() : found->second;
  const bool is_worker = crowd == kEveryTenant;
  const Inside& all = is_worker ? own : clients_;
  std::vector<Place> places;
  if (call_class == CallClass::kWait) {
    places = {{Quota::kWaits, "waits", all.waits, options_.waits_max},
              {Quota::kWaitsPerTenant, "waits", own.waits, options_.waits_per_tenant_max, true}};
  } else {
    places = {{Quota::kCalls, "calls", all.calls, options_.calls_max}};
    if (call_class == CallClass::kBlobStream) {
      places.push_back(
          {Quota::kBlobStreams, "blob streams", all.blob_streams, options_.blob_streams_max});
      places.push_back({Quota::kBlobStreamsPerTenant, "blob streams", own.blob_streams,
                        options_.blob_streams_per_tenant_max, true});
    }
  }
  for (const Place& place : places) {
    if (place.used >= place.limit && !(is_worker && place.of_tenant)) return Full(place, crowd);
  }
  Count(inside_[crowd], call_class, 1);
  if (!is_worker) Count(clients_, call_class, 1);
  return absl::OkStatus();
}

void Door::Leave(CallClass call_class, const std::string& crowd) {
  absl::MutexLock lock(&mu_);
  auto own = inside_.find(crowd);
  Count(own->second, call_class, -1);
  if (own->second.calls == 0 && own->second.waits == 0) inside_.erase(own);
  if (crowd != kEveryTenant) Count(clients_, call_class, -1);
}

Door::Inside Door::InsideOf(const std::string& tenant) const {
  absl::MutexLock lock(&mu_);
  auto found = inside_.find(tenant);
  return found == inside_.end() ? Inside() : found->second;
}

}  // namespace radiograph
