// Who may call what: one table of all RPCs, and who a caller is.
//
// With tokens (--tokens-file) a caller shows "authorization: Bearer <token>", and the token's line
// in the file says what he may. Without, all callers are the tenant "default" and may do anything:
// then the server listens on loopback, or was told to be insecure. The server's own agent has a
// random token, made at start, that never leaves the process.
//
// grpc.health.v1 and reflection are not in the table: they are open to all. They tell nothing of
// any tenant, and the probes that ask have no token.
#ifndef RADIOGRAPH_SERVER_AUTH_AUTHORIZATION_H_
#define RADIOGRAPH_SERVER_AUTH_AUTHORIZATION_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/auth/tokens.h"
#include "server/store/tenant.h"

namespace radiograph {

// kCall and kBlobStream hold a thread of the synchronous API, kWait holds none.
enum class CallClass { kCall, kBlobStream, kWait };
enum class Sees {
  kOwn,     // the things of the caller's tenant; others' do not exist. A worker sees all blobs.
  kShared,  // what is no tenant's; of slots all but the jobs of other tenants
};

struct Rule {
  absl::string_view method;  // "Jobs.Create"
  Scopes scopes;             // any of these
  Sees sees;
  CallClass call_class;
};
absl::Span<const Rule> Rules();
// INTERNAL for a method without a rule.
absl::StatusOr<Rule> FindRule(absl::string_view method);

struct Caller {
  std::string tenant = kDefaultTenant;
  Scopes scopes = kAllScopes;
  std::string token_name = {};  // empty: nobody asked for one
  bool embedded = false;        // the server's own agent
};

// Why a caller was sent away; a label of metrics.
enum class Refusal { kNoToken, kNotBearer, kUnknownToken, kWrongScope };
absl::string_view RefusalName(Refusal refusal);

// Safe for use from many threads.
class Authorization {
 public:
  using OnRefusal = std::function<void(Refusal)>;  // any thread, must not block

  // `tokens` may be null: nobody needs one. It must outlive this.
  Authorization(
      const Tokens* tokens, absl::string_view embedded_token,
      OnRefusal on_refusal = [](Refusal) {});

  // `authorization` is the value of that header (empty: none). UNAUTHENTICATED without a token that
  // is known; PERMISSION_DENIED when it has none of `scopes`; `what` is for that message. Neither
  // tells the token.
  absl::StatusOr<Caller> Check(absl::string_view what, Scopes scopes,
                               absl::string_view authorization) const;
  bool wants_tokens() const { return tokens_ != nullptr; }

 private:
  absl::StatusOr<Caller> Identify(absl::string_view authorization) const;
  absl::Status Refuse(Refusal refusal, absl::Status status) const;

  const Tokens* const tokens_;
  const std::string embedded_digest_;
  const OnRefusal on_refusal_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_AUTH_AUTHORIZATION_H_
