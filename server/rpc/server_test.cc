// The services over an in-process channel, on a real store and a real queue.
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/catalog/params.h"
#include "radiograph/v1/analyses.grpc.pb.h"
#include "radiograph/v1/artifacts.grpc.pb.h"
#include "radiograph/v1/blobs.grpc.pb.h"
#include "radiograph/v1/jobs.grpc.pb.h"
#include "radiograph/v1/server.grpc.pb.h"
#include "radiograph/v1/workers.grpc.pb.h"
#include "server/rpc/artifacts.h"
#include "server/rpc/rpc_fixture.h"
#include "server/rpc/services.h"
#include "server/rpc/status.h"
#include "server/rpc/test_call.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::CallBytes;
using testing::RpcServerTest;
using testing::StatusIs;

TEST_F(RpcServerTest, TellsItsLimitsAndDevices) {
  ASSERT_OK(Synchronize([] {
    v1::SynchronizeRequest request;
    request.set_state(v1::IDLE);
    request.set_answer_now(true);
    return request;
  }()));
  ASSERT_OK_AND_ASSIGN(const v1::ServerInfo info,
                       Call(&v1::Server::Stub::GetInfo, {}, *v1::Server::NewStub(channel_)));
  EXPECT_EQ(info.limits().chunk_bytes_max(), 1 << 20);
  EXPECT_EQ(info.limits().blob_streams_max(), 64);
  EXPECT_EQ(info.limits().waits_per_tenant_max(), 4096);
  EXPECT_GT(info.limits().disk_free_bytes_min(), 0);
  EXPECT_EQ(info.limits().uploads_per_tenant_max(), 768);
  EXPECT_EQ(info.limits().filter_bytes_max(), 4096);
  EXPECT_EQ(info.limits().filter_comparisons_max(), 64);
  EXPECT_EQ(info.usage().stored_bytes(), static_cast<int64_t>(ModelBytes().size()));
  EXPECT_EQ(info.usage().queued_jobs(), 0);
  ASSERT_EQ(info.devices_size(), 1);
  EXPECT_EQ(info.devices(0).model(), "a test");
  EXPECT_EQ(info.devices(0).memory_bytes(), int64_t{1} << 40);
}

TEST_F(RpcServerTest, ABlobGoesUpAndDown) {
  const std::string bytes(3 << 20, 'x');
  auto stub = v1::Blobs::NewStub(channel_);
  grpc::ClientContext up;
  v1::WriteResponse written;
  auto writer = stub->Write(&up, &written);
  for (int64_t at = 0; at < static_cast<int64_t>(bytes.size()); at += 1 << 20) {
    v1::WriteRequest request;
    if (at == 0) {
      request.set_upload_id("u");
      request.mutable_blob()->set_sha256(Sha256Hex(bytes));
      request.mutable_blob()->set_size(static_cast<int64_t>(bytes.size()));
    }
    request.set_offset(at);
    request.set_data(bytes.substr(at, 1 << 20));
    ASSERT_TRUE(writer->Write(request));
  }
  writer->WritesDone();
  ASSERT_OK(FromGrpc(writer->Finish()));
  EXPECT_TRUE(written.complete());

  grpc::ClientContext down;
  v1::ReadRequest request;
  request.set_sha256(Sha256Hex(bytes));
  auto reader = stub->Read(&down, request);
  std::string read;
  v1::ReadResponse piece;
  while (reader->Read(&piece)) read += piece.data();
  ASSERT_OK(FromGrpc(reader->Finish()));
  EXPECT_EQ(Sha256Hex(read), Sha256Hex(bytes));
}

TEST_F(RpcServerTest, CreateFillsInDefaultsAndPinsInputs) {
  ASSERT_OK_AND_ASSIGN(const v1::CreateJobResponse created, CreateSpectrum());
  EXPECT_EQ(created.job().state(), v1::QUEUED);
  EXPECT_EQ(created.job().params().fields().at("k").number_value(), 20);
  EXPECT_EQ(created.job().inputs().at("model").artifacts(0).version(), 1);
  EXPECT_EQ(created.cache_key().size(), 64u);
  EXPECT_GT(created.planned_memory_bytes(), 0);
  v1::GetJobRequest get;
  get.set_id(created.job().id());
  ASSERT_OK_AND_ASSIGN(const v1::Job job,
                       Call(&v1::Jobs::Stub::Get, get, *v1::Jobs::NewStub(channel_)));
  EXPECT_EQ(job.cache_key(), created.cache_key());
  EXPECT_THAT(job.pending_reason(), Not(::testing::IsEmpty()));
}

TEST_F(RpcServerTest, AnAliasIsAReferenceAndAJobKeepsWhatItMeant) {
  auto artifacts = v1::Artifacts::NewStub(channel_);
  v1::SetAliasRequest move;
  move.set_ref("digits@1");
  move.set_alias("prod");
  ASSERT_OK(Call(&v1::Artifacts::Stub::SetAlias, move, *artifacts));
  v1::CreateJobRequest request;
  (*request.mutable_inputs())["model"].add_refs("digits:prod");
  ASSERT_OK_AND_ASSIGN(const v1::CreateJobResponse created, CreateSpectrum(request));
  auto files = Request("digits", {{"model.safetensors", ModelBytes()}});
  (*files.mutable_labels())["step"] = "2";
  ASSERT_OK(CreateArtifact(*store_, kDefaultTenant, files));
  move.set_ref("digits@2");
  ASSERT_OK(Call(&v1::Artifacts::Stub::SetAlias, move, *artifacts));
  v1::GetJobRequest get;
  get.set_id(created.job().id());
  ASSERT_OK_AND_ASSIGN(const v1::Job job,
                       Call(&v1::Jobs::Stub::Get, get, *v1::Jobs::NewStub(channel_)));
  EXPECT_EQ(job.inputs().at("model").artifacts(0).version(), 1);
  EXPECT_EQ(job.inputs().at("model").artifacts(0).aliases_size(), 0) << "they move";
  v1::ListTensorsRequest tensors;
  tensors.set_ref("digits:prod");
  EXPECT_OK(Call(&v1::Artifacts::Stub::ListTensors, tensors, *artifacts));
  v1::ListAnalysesRequest analyses;
  analyses.set_for_artifact("digits:prod");
  EXPECT_OK(Call(&v1::Analyses::Stub::List, analyses, *v1::Analyses::NewStub(channel_)));
  v1::GetArtifactRequest artifact;
  artifact.set_ref("digits:prod");
  ASSERT_OK_AND_ASSIGN(const v1::Artifact got,
                       Call(&v1::Artifacts::Stub::Get, artifact, *artifacts));
  EXPECT_EQ(got.version(), 2);
  EXPECT_EQ(got.aliases(0).alias(), "prod");
}

TEST_F(RpcServerTest, ValidateOnlyMakesNoJob) {
  v1::CreateJobRequest request;
  request.set_validate_only(true);
  ASSERT_OK_AND_ASSIGN(const v1::CreateJobResponse checked, CreateSpectrum(request));
  EXPECT_EQ(checked.job().id(), "");
  EXPECT_EQ(checked.cache_key().size(), 64u);
  ASSERT_OK_AND_ASSIGN(const auto list,
                       Call(&v1::Jobs::Stub::List, {}, *v1::Jobs::NewStub(channel_)));
  EXPECT_EQ(list.jobs_size(), 0);
}

TEST_F(RpcServerTest, TheSameRequestIdIsTheSameJob) {
  v1::CreateJobRequest request;
  request.set_request_id("11111111-2222-4333-8444-555555555555");
  ASSERT_OK_AND_ASSIGN(const auto first, CreateSpectrum(request));
  ASSERT_OK_AND_ASSIGN(const auto second, CreateSpectrum(request));
  EXPECT_EQ(first.job().id(), second.job().id());
  request.set_seed(7);
  EXPECT_THAT(CreateSpectrum(request),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr(request.request_id())));
}

TEST_F(RpcServerTest, WrongRequestsTravelAsViolations) {
  v1::CreateJobRequest request;
  (*request.mutable_params()->mutable_fields())["kk"].set_number_value(1);
  (*request.mutable_params()->mutable_fields())["layer"].set_string_value("last");
  request.set_seed(-1);
  std::set<std::string> fields;
  for (const Violation& violation : ViolationsOf(CreateSpectrum(request).status())) {
    fields.insert(violation.field);
  }
  EXPECT_EQ(fields, (std::set<std::string>{"params.kk", "params.layer", "seed"}));
}

TEST_F(RpcServerTest, AnUnknownInputOrAnalysisIsNamed) {
  v1::CreateJobRequest request;
  (*request.mutable_inputs())["model"].add_refs("digit@4");
  EXPECT_THAT(CreateSpectrum(request),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("inputs.model"), HasSubstr("digit@4"))));
  (*request.mutable_inputs())["model"].set_refs(0, "job:abc/model");
  EXPECT_THAT(
      CreateSpectrum(request),
      StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr("inputs.model"), HasSubstr("abc"))));
  request.set_analysis("bilinear.spectrun");
  EXPECT_THAT(Call(&v1::Jobs::Stub::Create, request, *v1::Jobs::NewStub(channel_)),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("bilinear.spectrum")));
}

TEST_F(RpcServerTest, WatchReplaysFollowsBeatsAndEnds) {
  ASSERT_OK_AND_ASSIGN(const auto created, CreateSpectrum());
  const std::string id = created.job().id();
  int heartbeats = 0;
  const auto events = WatchToEnd(id, 0, &heartbeats, [&] { EXPECT_OK(Cancel(id)); });
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].state(), v1::QUEUED);
  EXPECT_EQ(events[1].state(), v1::CANCELLED);
  EXPECT_GE(heartbeats, 1);
  const auto resumed = WatchToEnd(id, events[0].sequence(), &heartbeats, [] {});
  ASSERT_EQ(resumed.size(), 1u);
  EXPECT_EQ(resumed[0].sequence(), events[1].sequence());
}

TEST_F(RpcServerTest, WatchOfAnUnknownJobIsNotFound) {
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_id("nobody");
  auto reader = v1::Jobs::NewStub(channel_)->Watch(&context, request);
  v1::JobEvent event;
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_THAT(FromGrpc(reader->Finish()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nobody")));
}

TEST_F(RpcServerTest, AWatcherThatGoesLeavesItsPlace) {
  ASSERT_OK_AND_ASSIGN(const auto created, CreateSpectrum());
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_id(created.job().id());
    auto reader = v1::Jobs::NewStub(channel_)->Watch(&context, request);
    v1::JobEvent event;
    ASSERT_TRUE(reader->Read(&event));
    context.TryCancel();
    EXPECT_THAT(FromGrpc(reader->Finish()), StatusIs(absl::StatusCode::kCancelled, ::testing::_));
  }
}

TEST_F(RpcServerTest, WaitAnswersAtTheEndOrAfterItsTimeout) {
  ASSERT_OK_AND_ASSIGN(const auto created, CreateSpectrum());
  v1::WaitJobRequest request;
  request.set_id(created.job().id());
  request.mutable_timeout()->set_nanos(10'000'000);
  ASSERT_OK_AND_ASSIGN(v1::Job job,
                       Call(&v1::Jobs::Stub::Wait, request, *v1::Jobs::NewStub(channel_)));
  EXPECT_EQ(job.state(), v1::QUEUED);
  request.clear_timeout();
  std::jthread cancel([&] { EXPECT_OK(Cancel(request.id())); });
  ASSERT_OK_AND_ASSIGN(job, Call(&v1::Jobs::Stub::Wait, request, *v1::Jobs::NewStub(channel_)));
  EXPECT_EQ(job.state(), v1::CANCELLED);
}

TEST_F(RpcServerTest, ASlotGetsTheJob) {
  ASSERT_OK_AND_ASSIGN(const auto created, CreateSpectrum());
  v1::SynchronizeRequest request;
  request.set_state(v1::IDLE);
  ASSERT_OK_AND_ASSIGN(const v1::SynchronizeResponse response, Synchronize(request));
  EXPECT_EQ(response.desired(), v1::BUSY);
  EXPECT_EQ(response.lease().job(), created.job().id());
  EXPECT_THAT(response.lease().request(), HasSubstr("bilinear.spectrum"));
  ASSERT_EQ(response.lease().blobs_size(), 1);
  EXPECT_OK(store_->blobs->Path(response.lease().blobs(0).blob().sha256()));
  ASSERT_OK_AND_ASSIGN(const auto workers,
                       Call(&v1::Workers::Stub::List, {}, *v1::Workers::NewStub(channel_)));
  ASSERT_EQ(workers.workers_size(), 1);
  EXPECT_TRUE(workers.workers(0).embedded());
}

TEST_F(RpcServerTest, TheAgentsTokenSubmitsNothing) {
  authorization_ = absl::StrCat("Bearer ", testing::kAgentToken);
  EXPECT_THAT(CreateSpectrum(),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("Jobs.Create")));
}

// grpc.health.v1's messages by hand: field 1 of the answer is 1 (SERVING) or 2 (NOT_SERVING).
TEST_F(RpcServerTest, HealthFollowsSetServing) {
  EXPECT_EQ(CallBytes(channel_, "/grpc.health.v1.Health/Check", ""), "\x08\x01");
  server_->SetServing(false);
  EXPECT_EQ(CallBytes(channel_, "/grpc.health.v1.Health/Check", ""), "\x08\x02");
}

TEST_F(RpcServerTest, ReflectionListsTheServices) {
  const std::string services =
      CallBytes(channel_, testing::kReflection, testing::kListServices);
  for (const char* name : {"Server", "Blobs", "Artifacts", "Analyses", "Jobs", "Workers"}) {
    EXPECT_THAT(services, HasSubstr(absl::StrCat("radiograph.v1.", name)));
  }
}

TEST_F(RpcServerTest, PastTheLimitAStreamIsAskedToComeBackAndCallsAreAnswered) {
  std::vector<Door::Entry> streams;
  for (int i = 0; i < door_.options().blob_streams_max; ++i) {
    streams.push_back(*door_.Enter("Blobs.Write", ""));
  }
  const auto read = [&] {
    grpc::ClientContext context;
    v1::ReadRequest request;
    request.set_sha256(Sha256Hex("nobody has this"));
    auto reader = v1::Blobs::NewStub(channel_)->Read(&context, request);
    return FromGrpc(reader->Finish());
  };
  const absl::Status refused = read();
  EXPECT_THAT(refused,
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("64 blob streams")));
  EXPECT_TRUE(RetryOf(refused).has_value());
  EXPECT_OK(Call(&v1::Server::Stub::GetInfo, {}, *v1::Server::NewStub(channel_)));
  streams.pop_back();
  EXPECT_THAT(read(), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
}

TEST_F(RpcServerTest, LargeMessagesAndMetadataAreRefused) {
  server_.reset();
  Serve("127.0.0.1:0");
  channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  v1::GetArtifactRequest large;
  large.set_ref(std::string(kRpcMessageBytesMax + 1, 'x'));
  EXPECT_THAT(Call(&v1::Artifacts::Stub::Get, large, *v1::Artifacts::NewStub(channel_)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("larger than max")));
  authorization_ = std::string(2 * kMetadataBytesMax, 'x');
  EXPECT_THAT(Call(&v1::Server::Stub::GetInfo, {}, *v1::Server::NewStub(channel_)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("metadata")));
}

TEST_F(RpcServerTest, ListensOnAFreePort) {
  server_.reset();
  Serve("127.0.0.1:0");
  EXPECT_THAT(server_->address(), ::testing::MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]+"));
  channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  EXPECT_OK(CreateSpectrum());
  auto second = RpcServer::Start({.listen = server_->address(), .interceptors = {}}, &*backend_);
  EXPECT_THAT(second, StatusIs(absl::StatusCode::kUnavailable, HasSubstr(server_->address())));
}

TEST_F(RpcServerTest, ShutdownEndsWhatWaits) {
  ASSERT_OK_AND_ASSIGN(const auto created, CreateSpectrum());
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_id(created.job().id());
  auto reader = v1::Jobs::NewStub(channel_)->Watch(&context, request);
  v1::JobEvent event;
  ASSERT_TRUE(reader->Read(&event));
  jobs_->Shutdown();
  while (reader->Read(&event)) {
  }
  EXPECT_THAT(FromGrpc(reader->Finish()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stops")));
  server_->Shutdown(absl::Seconds(5));
}

}  // namespace
}  // namespace radiograph
