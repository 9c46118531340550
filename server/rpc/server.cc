#include "server/rpc/server.h"

#include <fcntl.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <utility>

#include "core/base/moment.h"
#include "core/base/status_macros.h"
#include "server/rpc/services.h"
#include "server/rpc/tls_credentials.h"

namespace radiograph {
namespace {

constexpr int kThreadsMax =
    320;  // past it gRPC itself refuses, without RetryInfo: the Door is lower
constexpr int kStreamWindowBytes = 2 << 20;  // bytes of a stream that may come before they are read
constexpr int kReadBytesMax = 64 << 10;
constexpr int kStreamsPerConnectionMax = 1024;
constexpr absl::Duration kKeepaliveAnswerMax = absl::Seconds(20);
constexpr int kPingsApartMilliseconds = 5'000;  // what a client may ask of us

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

void SetLimits(grpc::ServerBuilder& builder, absl::Duration keepalive) {
  grpc::ResourceQuota quota("radiographd");
  quota.SetMaxThreads(kThreadsMax);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(kRpcMessageBytesMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  // Finds connections that died silently. Where the client reads nothing there is no data to send,
  // so pings without data have no limit. (watch_test.cc passes with gRPC's default limit of two
  // as well: it does not seem to hold here.)
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(keepalive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             Milliseconds(std::min(keepalive, kKeepaliveAnswerMax)));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kPingsApartMilliseconds);
  // A window of fixed size: gRPC's own estimate lets one fast upload fill tens of megabytes.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  // What is read from a connection at once: larger pieces wait partly filled, and cost memory.
  builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadBytesMax);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(Options options, Backend* backend) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto server = std::unique_ptr<RpcServer>(new RpcServer());
  server->services_ = MakeServices(backend);
  if (options.tls == nullptr) {
    server->credentials_ = grpc::InsecureServerCredentials();
  } else {
    server->credentials_ = std::make_shared<TlsCredentials>(options.tls);
  }
  grpc::ServerBuilder builder;
  SetLimits(builder, options.keepalive);
  std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor =
      builder.experimental().AddExternalConnectionAcceptor(
          grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
          server->credentials_);
  for (const auto& service : server->services_) builder.RegisterService(service.get());
  builder.experimental().SetInterceptorCreators(std::move(options.interceptors));
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) return absl::InternalError("gRPC does not start");
  server->SetServing(true);
  if (options.listen.empty()) return server;
  ASSIGN_OR_RETURN(server->listener_, Listener::Start(options.listen, [acceptor](UniqueFd fd) {
                     fcntl(fd.get(), F_SETFL, O_NONBLOCK);
                     grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters taken;
                     taken.fd = fd.Release();
                     acceptor->HandleNewConnection(&taken);
                   }));
  return server;
}

RpcServer::~RpcServer() {
  if (server_ != nullptr) Shutdown(absl::ZeroDuration());
}

std::shared_ptr<grpc::Channel> RpcServer::InProcessChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  return server_->InProcessChannel(arguments);
}

void RpcServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

void RpcServer::Shutdown(absl::Duration grace) {
  listener_.reset();
  server_->Shutdown(MomentIn(grace));
  server_->Wait();
}

}  // namespace radiograph
