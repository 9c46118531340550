// Certificate and key of the server, and the authority that signs its clients', as PEM files that
// may be replaced while they are used.
#ifndef RADIOGRAPH_SERVER_AUTH_TLS_FILES_H_
#define RADIOGRAPH_SERVER_AUTH_TLS_FILES_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/auth/watched_file.h"

namespace radiograph {

struct TlsPems {
  std::string certificates;  // the server's own first, then those that lead to the root
  std::string key;
  std::string client_authority;  // empty: clients need no certificate
};

// INVALID_ARGUMENT unless the key is that of the first certificate, which has not expired, and the
// authority, if any, is a certificate.
absl::Status CheckPems(const TlsPems& pems);

// Safe for use from many threads.
class TlsFiles {
 public:
  struct Paths {
    std::string certificates, key, client_authority;
  };
  // Errors name the file.
  static absl::StatusOr<std::unique_ptr<TlsFiles>> Open(const Paths& paths);

  // What was read last and is good; the same pointer until it changes.
  std::shared_ptr<const TlsPems> Current() const;
  // Takes up files that have changed; when they don't fit together (yet), what was stays, and that
  // is logged. From one thread at a time.
  void Reload();

 private:
  explicit TlsFiles(const Paths& paths)
      : certificates_(paths.certificates),
        key_(paths.key),
        client_authority_(paths.client_authority) {}
  bool Changed();
  absl::Status Read();

  WatchedFile certificates_, key_, client_authority_;
  mutable absl::Mutex mu_;
  std::shared_ptr<const TlsPems> current_ ABSL_GUARDED_BY(mu_);
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_AUTH_TLS_FILES_H_
