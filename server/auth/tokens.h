// Bearer tokens: who has one, for which tenant, to do what. The server knows their digests only.
//
// The file has one token a line, four words: SHA-256, tenant, scopes, name. `#` begins a comment.
//   9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  vision  submit  ci-of-vision
//   60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752  *       worker  gpu-machines
// Scopes are divided by commas. read: see what is the tenant's. submit: read, and upload, register,
// run, cancel, delete. admin: submit, and what concerns the whole server. worker: take and run
// every tenant's jobs, therefore alone and with the tenant `*`.
#ifndef RADIOGRAPH_SERVER_AUTH_TOKENS_H_
#define RADIOGRAPH_SERVER_AUTH_TOKENS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/auth/watched_file.h"

namespace radiograph {

using Scopes = uint32_t;
inline constexpr Scopes kRead = 1, kSubmit = 2, kAdmin = 4, kWorker = 8;
inline constexpr Scopes kAllScopes = kRead | kSubmit | kAdmin | kWorker;
// "read or worker".
std::string ScopeNames(Scopes scopes);

inline constexpr int64_t kTokensFileBytesMax = 1 << 20;
inline constexpr int64_t kTokensMax = 1000;

struct Token {
  std::string sha256;
  std::string tenant;
  Scopes scopes = 0;  // with those that it includes
  std::string name;   // for logs
};

// INVALID_ARGUMENT naming line and value; never what stands where a digest should, for it may be
// the token itself.
absl::StatusOr<std::vector<Token>> ParseTokens(absl::string_view text);

// The tokens of a file that may change. Safe for use from many threads.
class Tokens {
 public:
  static absl::StatusOr<std::unique_ptr<Tokens>> Open(const std::string& path);

  // Null for a token that nobody has. Takes the same time for each of them.
  std::shared_ptr<const Token> Find(absl::string_view token) const;
  // Takes up the file if it has changed; a bad one is logged and what was stays. From one thread at
  // a time.
  void Reload();

 private:
  using Table = std::vector<std::shared_ptr<const Token>>;
  explicit Tokens(const std::string& path) : file_(path) {}
  absl::Status Read();

  WatchedFile file_;
  mutable absl::Mutex mu_;
  std::shared_ptr<const Table> table_ ABSL_GUARDED_BY(mu_);
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_AUTH_TOKENS_H_
