// The tokens file.
#include "server/auth/tokens.h"
#include "server/store/tenant.h"
#include "tests/fuzz/fuzz.h"

namespace radiograph {

void Fuzz(absl::string_view bytes) {
  absl::StatusOr<std::vector<Token>> tokens = ParseTokens(bytes);
  if (!tokens.ok()) return CheckRefusal(tokens.status());
  FUZZ_CHECK(!tokens->empty() && static_cast<int64_t>(tokens->size()) <= kTokensMax);
  for (const Token& token : *tokens) {
    FUZZ_CHECK(token.sha256.size() == 64 && !token.name.empty() && !token.tenant.empty());
    FUZZ_CHECK((token.scopes == kWorker) == (token.tenant == kEveryTenant));
  }
}

}  // namespace radiograph
