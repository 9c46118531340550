// For tests: the services over an in-process channel (or a port), on a real store and a real queue.
#ifndef RADIOGRAPH_SERVER_RPC_RPC_FIXTURE_H_
#define RADIOGRAPH_SERVER_RPC_RPC_FIXTURE_H_

#include <grpcpp/client_context.h>

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "radiograph/v1/jobs.grpc.pb.h"
#include "radiograph/v1/workers.grpc.pb.h"
#include "server/rpc/artifacts.h"
#include "server/rpc/server.h"
#include "server/rpc/services.h"
#include "server/rpc/status.h"
#include "server/rpc/test_store.h"

namespace radiograph::testing {

inline constexpr char kAgentToken[] = "the agent's token";

class RpcServerTest : public StoreTest {
 protected:
  explicit RpcServerTest(const JobsOptions& options = {})
      : errands_(&clock_), pool_(2), door_({}, &who_) {
    EXPECT_OK(CreateArtifact(*store_, kDefaultTenant,
                             Request("digits", {{"model.safetensors", ModelBytes()}})));
    auto jobs = Jobs::Open(options, store_.get(), &clock_, &errands_, JobsObserver());
    EXPECT_OK(jobs);
    jobs_ = *std::move(jobs);
    errands_.Start();
    backend_.emplace(Backend{.store = store_.get(),
                             .jobs = jobs_.get(),
                             .headers = headers_.get(),
                             .door = &door_,
                             .pool = &pool_,
                             .heartbeat = absl::Milliseconds(20)});
    *backend_->info.mutable_limits() = MakeLimits(door_.options(), {}, {});
    Serve("");
  }
  ~RpcServerTest() override {
    jobs_->Shutdown();
    server_.reset();
  }
  void Serve(const std::string& listen, absl::Duration keepalive = absl::Seconds(30)) {
    auto server = RpcServer::Start({.listen = listen, .keepalive = keepalive, .interceptors = {}},
                                   &*backend_);
    ASSERT_OK(server);
    server_ = *std::move(server);
    channel_ = server_->InProcessChannel();
  }

  // Calls a unary method: Call(&v1::Jobs::Stub::Get, request).
  template <typename Service, typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (Service::*method)(grpc::ClientContext*,
                                                                const Request&, Response*),
                                const std::type_identity_t<Request>& request, Service& stub) {
    grpc::ClientContext context;
    if (!authorization_.empty()) context.AddMetadata("authorization", authorization_);
    Response response;
    const absl::Status status = FromGrpc((stub.*method)(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }
  absl::StatusOr<v1::CreateJobResponse> CreateSpectrum(v1::CreateJobRequest request = {}) {
    request.set_analysis("bilinear.spectrum");
    if (request.inputs().empty()) (*request.mutable_inputs())["model"].add_refs("digits");
    return Call(&v1::Jobs::Stub::Create, request, *v1::Jobs::NewStub(channel_));
  }
  absl::StatusOr<v1::Job> Cancel(const std::string& id) {
    v1::CancelJobRequest request;
    request.set_id(id);
    return Call(&v1::Jobs::Stub::Cancel, request, *v1::Jobs::NewStub(channel_));
  }
  // One poll of a slot that offers everything.
  absl::StatusOr<v1::SynchronizeResponse> Synchronize(v1::SynchronizeRequest request) {
    request.set_protocol_version(1);
    request.set_slot("embedded/cpu");
    request.set_incarnation("i");
    request.set_memory_bytes(int64_t{1} << 40);
    request.mutable_engine()->set_device_kind("cpu");
    request.mutable_engine()->set_device_model("a test");
    v1::OfferedAnalysis* offered = request.add_analyses();
    offered->set_name("bilinear.spectrum");
    offered->set_version(1);
    authorization_ = absl::StrCat("Bearer ", kAgentToken);
    auto response = Call(&v1::Workers::Stub::Synchronize, request, *v1::Workers::NewStub(channel_));
    authorization_.clear();
    return response;
  }
  // All events until the end of the stream, without heartbeats.
  std::vector<v1::JobEvent> WatchToEnd(const std::string& id, int64_t after, int* heartbeats,
                                       absl::FunctionRef<void()> on_heartbeat) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_id(id);
    request.set_after_sequence(after);
    auto reader = v1::Jobs::NewStub(channel_)->Watch(&context, request);
    std::vector<v1::JobEvent> events;
    v1::JobEvent event;
    while (reader->Read(&event)) {
      if (event.sequence() > 0) {
        events.push_back(event);
      } else if (++*heartbeats == 1) {
        on_heartbeat();
      }
    }
    EXPECT_OK(FromGrpc(reader->Finish()));
    return events;
  }

  Errands errands_;
  Pool pool_;
  const Authorization who_{nullptr, kAgentToken};
  Door door_;
  std::unique_ptr<Jobs> jobs_;
  std::optional<Backend> backend_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::string authorization_;
};

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_SERVER_RPC_RPC_FIXTURE_H_
