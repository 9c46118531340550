// TLS for the gRPC server, with certificates that change while it serves.
//
// By the certificate config fetcher of gRPC's core, which asks at every new connection. (gRPC 1.51
// also has a FileWatcherCertificateProvider, still experimental: it takes up files that don't fit
// together, in the middle of a renewal, and then no handshake succeeds.)
#ifndef RADIOGRAPH_SERVER_RPC_TLS_CREDENTIALS_H_
#define RADIOGRAPH_SERVER_RPC_TLS_CREDENTIALS_H_

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "server/auth/tls_files.h"

namespace radiograph {

// Serves with files->Current(), and asks clients for a certificate when that has an authority for
// them. Both must outlive the server.
class TlsCredentials final : public grpc::ServerCredentials {
 public:
  explicit TlsCredentials(const TlsFiles* files) : files_(*files) {}
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override;
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config);

  const TlsFiles& files_;
  std::shared_ptr<const TlsPems> given_;  // gRPC fetches under a lock of its own
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_TLS_CREDENTIALS_H_
