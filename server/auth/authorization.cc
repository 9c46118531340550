#include "server/auth/authorization.h"

#include <openssl/crypto.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr Rule kRules[] = {
    {"Server.GetInfo", kRead | kWorker, Sees::kShared, CallClass::kCall},
    {"Server.Check", kAdmin, Sees::kShared, CallClass::kCall},
    {"Server.Backup", kAdmin, Sees::kShared, CallClass::kCall},
    {"Server.Collect", kAdmin, Sees::kShared, CallClass::kCall},
    {"Blobs.FindMissing", kSubmit | kWorker, Sees::kOwn, CallClass::kCall},
    {"Blobs.Write", kSubmit | kWorker, Sees::kOwn, CallClass::kBlobStream},
    {"Blobs.QueryWriteStatus", kSubmit | kWorker, Sees::kOwn, CallClass::kCall},
    {"Blobs.Read", kRead | kWorker, Sees::kOwn, CallClass::kBlobStream},
    {"Artifacts.Create", kSubmit, Sees::kOwn, CallClass::kCall},
    {"Artifacts.Get", kRead, Sees::kOwn, CallClass::kCall},
    {"Artifacts.List", kRead, Sees::kOwn, CallClass::kCall},
    {"Artifacts.ListTensors", kRead, Sees::kOwn, CallClass::kCall},
    {"Artifacts.Delete", kSubmit, Sees::kOwn, CallClass::kCall},
    {"Artifacts.SetAlias", kSubmit, Sees::kOwn, CallClass::kCall},
    {"Analyses.List", kRead, Sees::kOwn, CallClass::kCall},  // of an artifact
    {"Analyses.Get", kRead, Sees::kShared, CallClass::kCall},
    {"Jobs.Create", kSubmit, Sees::kOwn, CallClass::kCall},
    {"Jobs.Get", kRead, Sees::kOwn, CallClass::kCall},
    {"Jobs.List", kRead, Sees::kOwn, CallClass::kCall},
    {"Jobs.Watch", kRead, Sees::kOwn, CallClass::kWait},
    {"Jobs.Wait", kRead, Sees::kOwn, CallClass::kWait},
    {"Jobs.Cancel", kSubmit, Sees::kOwn, CallClass::kCall},
    {"Jobs.Retry", kSubmit, Sees::kOwn, CallClass::kCall},
    {"Jobs.Delete", kSubmit, Sees::kOwn, CallClass::kCall},
    {"Workers.Synchronize", kWorker, Sees::kShared, CallClass::kWait},
    {"Workers.Save", kWorker, Sees::kShared, CallClass::kCall},  // of the lease's job
    {"Workers.Load", kWorker, Sees::kShared, CallClass::kCall},
    {"Workers.List", kRead, Sees::kShared, CallClass::kCall},
    {"Workers.Drain", kAdmin, Sees::kShared, CallClass::kCall},
};

constexpr absl::string_view kScheme = "Bearer ";

bool SameDigest(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

absl::Span<const Rule> Rules() { return kRules; }

absl::StatusOr<Rule> FindRule(absl::string_view method) {
  for (const Rule& rule : kRules) {
    if (rule.method == method) return rule;
  }
  return absl::InternalError(absl::StrCat(method, " has no rule"));
}

absl::string_view RefusalName(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNoToken:
      return "no_token";
    case Refusal::kNotBearer:
      return "not_bearer";
    case Refusal::kUnknownToken:
      return "unknown_token";
    case Refusal::kWrongScope:
      return "wrong_scope";
  }
  return "";
}

Authorization::Authorization(const Tokens* tokens, absl::string_view embedded_token,
                             OnRefusal on_refusal)
    : tokens_(tokens),
      embedded_digest_(Sha256Hex(embedded_token)),
      on_refusal_(std::move(on_refusal)) {}

absl::Status Authorization::Refuse(Refusal refusal, absl::Status status) const {
  on_refusal_(refusal);
  return status;
}

absl::StatusOr<Caller> Authorization::Check(absl::string_view what, Scopes scopes,
                                            absl::string_view authorization) const {
  ASSIGN_OR_RETURN(Caller caller, Identify(authorization));
  if ((caller.scopes & scopes) != 0) return caller;
  return Refuse(Refusal::kWrongScope,
                absl::PermissionDeniedError(absl::StrCat(what, " needs a token with the scope ",
                                                         ScopeNames(scopes), "; ",
                                                         caller.token_name, " has none of these")));
}

absl::StatusOr<Caller> Authorization::Identify(absl::string_view authorization) const {
  if (authorization.empty()) {
    if (tokens_ == nullptr) return Caller{};
    return Refuse(Refusal::kNoToken, absl::UnauthenticatedError("this server wants a token"));
  }
  if (!absl::StartsWithIgnoreCase(authorization, kScheme)) {
    return Refuse(Refusal::kNotBearer,
                  absl::UnauthenticatedError("the authorization is not \"Bearer TOKEN\""));
  }
  const absl::string_view token = authorization.substr(kScheme.size());
  if (SameDigest(Sha256Hex(token), embedded_digest_)) {
    return Caller{.tenant = kEveryTenant,
                  .scopes = kWorker,
                  .token_name = "the server's own worker",
                  .embedded = true};
  }
  if (tokens_ == nullptr) return Caller{};  // a client that speaks to other servers too
  const std::shared_ptr<const Token> known = tokens_->Find(token);
  if (known == nullptr) {
    return Refuse(Refusal::kUnknownToken,
                  absl::UnauthenticatedError("this token is not known here"));
  }
  return Caller{.tenant = known->tenant, .scopes = known->scopes, .token_name = known->name};
}

}  // namespace radiograph
