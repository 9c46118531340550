// The gRPC server: our services, grpc.health.v1 and reflection, with limits on everything.
#ifndef RADIOGRAPH_SERVER_RPC_SERVER_H_
#define RADIOGRAPH_SERVER_RPC_SERVER_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/auth/tls_files.h"
#include "server/net/listener.h"
#include "server/rpc/backend.h"

namespace radiograph {

class RpcServer {
 public:
  struct Options {
    std::string listen;  // HOST:PORT, port 0 takes a free one; empty: in-process channels only
    const TlsFiles* tls = nullptr;  // null: no TLS; must outlive the server
    // How often a connection with calls inside is asked whether it lives. One that doesn't answer
    // for as long again (20 s at most) is closed, and its calls end.
    absl::Duration keepalive = absl::Seconds(30);
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
        interceptors;
  };
  // `backend` must outlive the server. UNAVAILABLE when the address can't be had.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(Options options, Backend* backend);
  ~RpcServer();

  // HOST:PORT with the port that was taken.
  const std::string& address() const { return listener_->address(); }
  std::shared_ptr<grpc::Channel> InProcessChannel();

  // What grpc.health.v1 answers, for the server ("") and each service.
  void SetServing(bool serving);
  // Takes no new call, lets those inside end for `grace`, then cancels them. Waits that the Jobs
  // know of must be given up before (Jobs::Shutdown).
  void Shutdown(absl::Duration grace);

 private:
  RpcServer() = default;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  std::unique_ptr<grpc::Server> server_;      // after the services: it ends first
  std::unique_ptr<Listener> listener_;        // and before it, who brings it connections
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_SERVER_H_
