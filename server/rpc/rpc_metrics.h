// What happens at the gRPC door, for Prometheus:
//   grpc_server_handled_total{grpc_type, grpc_service, grpc_method, grpc_code}
//   grpc_server_handling_seconds{grpc_type, grpc_service, grpc_method}
// Only methods that the server has are counted, so the label sets are closed.
#ifndef RADIOGRAPH_SERVER_RPC_RPC_METRICS_H_
#define RADIOGRAPH_SERVER_RPC_RPC_METRICS_H_

#include <grpcpp/support/server_interceptor.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace radiograph {

// Safe for use from many threads. `registry` must outlive it.
class RpcMetrics {
 public:
  explicit RpcMetrics(prometheus::Registry& registry);

  // `method` is "/radiograph.v1.Jobs/Create", `type` "unary", "client_stream", "server_stream".
  void Handled(absl::string_view method, const char* type, int code, absl::Duration took);

  // For RpcServer::Options::interceptors; the metrics must outlive the server.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> Interceptor();

 private:
  prometheus::Family<prometheus::Counter>& handled_;
  prometheus::Family<prometheus::Histogram>& handling_;
};

// "OK", "InvalidArgument", ...: as other gRPC servers name the codes in metrics.
const char* GrpcCodeName(int code);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_RPC_METRICS_H_
