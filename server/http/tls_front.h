// TLS in front of the HTTP server: takes connections at the outer address and hands each one
// request to the HTTP server's own port on loopback.
//
// CivetWeb could speak TLS itself, but Debian 12's looks for a function that OpenSSL 3 has not, and
// crashes at the first connection.
#ifndef RADIOGRAPH_SERVER_HTTP_TLS_FRONT_H_
#define RADIOGRAPH_SERVER_HTTP_TLS_FRONT_H_

#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/file.h"
#include "server/auth/tls_files.h"
#include "server/net/listener.h"
#include "server/rpc/pool.h"

struct ssl_ctx_st;

namespace radiograph {

inline constexpr int kTlsConnectionsMax = 64;  // more are closed at once

class TlsFront {
 public:
  // `listen` is HOST:PORT; port 0 takes a free one. `files` must outlive it: every connection is
  // served with what is current then. UNAVAILABLE when the address can't be had.
  static absl::StatusOr<std::unique_ptr<TlsFront>> Start(const std::string& listen,
                                                         const TlsFiles* files, int backend_port);
  // Breaks connections off.
  ~TlsFront();

  const std::string& address() const { return listener_->address(); }

 private:
  using Context = std::shared_ptr<ssl_ctx_st>;
  TlsFront(const TlsFiles* files, int backend_port)
      : files_(*files), backend_port_(backend_port), pool_(kThreads) {}
  void Take(UniqueFd connection);
  void Serve(int fd);
  // For the certificate that is current; null when OpenSSL refuses it.
  Context CurrentContext();

  static constexpr int kThreads = 4;
  const TlsFiles& files_;
  const int backend_port_;
  absl::Mutex mu_;
  std::set<int> connections_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const TlsPems> pems_ ABSL_GUARDED_BY(mu_);  // of context_
  Context context_ ABSL_GUARDED_BY(mu_);
  Pool pool_;
  std::unique_ptr<Listener> listener_;  // last: it ends first
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_HTTP_TLS_FRONT_H_
