#include "server/rpc/tls_credentials.h"

#include <grpc/grpc.h>

namespace radiograph {

int TlsCredentials::AddPortToServer(const std::string& address, grpc_server* server) {
  const auto request = files_.Current()->client_authority.empty()
                           ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                           : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  grpc_server_credentials* credentials = grpc_ssl_server_credentials_create_with_options(
      grpc_ssl_server_credentials_create_options_using_config_fetcher(request, &Fetch, this));
  const int port = grpc_server_add_http2_port(server, address.c_str(), credentials);
  grpc_server_credentials_release(credentials);
  return port;
}

grpc_ssl_certificate_config_reload_status TlsCredentials::Fetch(
    void* self, grpc_ssl_server_certificate_config** config) {
  auto& credentials = *static_cast<TlsCredentials*>(self);
  std::shared_ptr<const TlsPems> pems = credentials.files_.Current();
  if (pems == credentials.given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  const grpc_ssl_pem_key_cert_pair pair = {.private_key = pems->key.c_str(),
                                           .cert_chain = pems->certificates.c_str()};
  // gRPC 1.51 insists on an authority, even where it asks no client for a certificate.
  const std::string& authority =
      pems->client_authority.empty() ? pems->certificates : pems->client_authority;
  *config = grpc_ssl_server_certificate_config_create(authority.c_str(), &pair, 1);
  credentials.given_ = std::move(pems);
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

}  // namespace radiograph
