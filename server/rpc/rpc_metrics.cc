#include "server/rpc/rpc_metrics.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/clock.h"

namespace radiograph {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

const char* TypeName(ServerRpcInfo::Type type) {
  switch (type) {
    case ServerRpcInfo::Type::UNARY:
      return "unary";
    case ServerRpcInfo::Type::CLIENT_STREAMING:
      return "client_stream";
    case ServerRpcInfo::Type::SERVER_STREAMING:
      return "server_stream";
    case ServerRpcInfo::Type::BIDI_STREAMING:
      break;
  }
  return "bidi_stream";
}

// Lives as long as its call.
class CallTimer final : public grpc::experimental::Interceptor {
 public:
  CallTimer(RpcMetrics* metrics, const ServerRpcInfo& info)
      : metrics_(metrics), method_(info.method()), type_(TypeName(info.type())) {}
  void Intercept(InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      metrics_->Handled(method_, type_, batch->GetSendStatus().error_code(),
                        SystemClock().Monotonic() - begin_);
    }
    batch->Proceed();
  }

 private:
  RpcMetrics* const metrics_;
  const char* const method_;
  const char* const type_;
  const absl::Duration begin_ = SystemClock().Monotonic();
};

class CallTimerFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallTimerFactory(RpcMetrics* metrics) : metrics_(metrics) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    return new CallTimer(metrics_, *info);
  }

 private:
  RpcMetrics* const metrics_;
};

}  // namespace

RpcMetrics::RpcMetrics(prometheus::Registry& registry)
    : handled_(prometheus::BuildCounter()
                   .Name("grpc_server_handled_total")
                   .Help("Calls that have ended, by method and code.")
                   .Register(registry)),
      handling_(prometheus::BuildHistogram()
                    .Name("grpc_server_handling_seconds")
                    .Help("From the start of a call to its status, by method.")
                    .Register(registry)) {}

void RpcMetrics::Handled(absl::string_view method, const char* type, int code,
                         absl::Duration took) {
  absl::ConsumePrefix(&method, "/");
  const std::pair<std::string, std::string> parts = absl::StrSplit(method, '/');
  prometheus::Labels labels = {
      {"grpc_type", type}, {"grpc_service", parts.first}, {"grpc_method", parts.second}};
  handling_
      .Add(labels,
           prometheus::Histogram::BucketBoundaries{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                   0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60})
      .Observe(absl::ToDoubleSeconds(took));
  labels["grpc_code"] = GrpcCodeName(code);
  handled_.Add(labels).Increment();
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> RpcMetrics::Interceptor() {
  return std::make_unique<CallTimerFactory>(this);
}

const char* GrpcCodeName(int code) {
  static constexpr const char* kNames[] = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  return code >= 0 && code < 17 ? kNames[code] : "Unknown";
}

}  // namespace radiograph
