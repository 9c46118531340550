// Every RPC that reflection tells of, asked by everybody: without a token, with one that nobody
// has, with each scope, and by another tenant. What each is answered stands in one table.
#include <grpcpp/client_context.h>

#include <functional>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/digest.h"
#include "radiograph/v1/analyses.grpc.pb.h"
#include "radiograph/v1/artifacts.grpc.pb.h"
#include "radiograph/v1/blobs.grpc.pb.h"
#include "radiograph/v1/jobs.grpc.pb.h"
#include "radiograph/v1/server.grpc.pb.h"
#include "radiograph/v1/workers.grpc.pb.h"
#include "server/rpc/artifacts.h"
#include "server/rpc/rpc_metrics.h"
#include "server/rpc/server.h"
#include "server/rpc/status.h"
#include "server/rpc/test_call.h"
#include "server/rpc/test_store.h"

namespace radiograph {
namespace {

constexpr char kOwner[] = "alpha", kOther[] = "beta";

// An answer in a word: the code, and for OK whether something of kOwner's was in it.
struct Answer {
  grpc::Status status;
  bool seen = true;
  std::string Word() const {
    if (!status.ok()) return GrpcCodeName(status.error_code());
    return seen ? "OK" : "OK, nothing";
  }
};

class IdentityTest : public testing::StoreTest {
 protected:
  IdentityTest() : errands_(&clock_), pool_(2) {
    OpenTokens();
    door_.emplace(Door::Options(), &*authorization_);
    auto jobs = Jobs::Open({}, store_.get(), &clock_, &errands_, JobsObserver());
    EXPECT_OK(jobs);
    jobs_ = *std::move(jobs);
    errands_.Start();
    collector_.emplace(Collector::Options(), store_.get(), &clock_,
                       [this](absl::Span<const JobKey> keys) { return jobs_->Forget(keys); });
    backend_.emplace(Backend{.store = store_.get(),
                             .jobs = jobs_.get(),
                             .headers = headers_.get(),
                             .door = &*door_,
                             .pool = &pool_,
                             .collector = &*collector_,
                             .clock = &clock_,
                             .disk = &disk_});
    auto server = RpcServer::Start({.listen = "", .interceptors = {}}, &*backend_);
    EXPECT_OK(server);
    server_ = *std::move(server);
    channel_ = server_->InProcessChannel();
    MakeThings();
  }
  ~IdentityTest() override {
    jobs_->Shutdown();
    server_.reset();
  }

  // A token's text is its name.
  void OpenTokens() {
    std::string text;
    for (const char* scope : {"read", "submit", "admin"}) {
      for (const char* tenant : {kOwner, kOther}) {
        const std::string name = absl::StrCat(tenant, "-", scope);
        absl::StrAppend(&text, Sha256Hex(name), " ", tenant, " ", scope, " ", name, "\n");
      }
    }
    absl::StrAppend(&text, Sha256Hex("every-worker"), " * worker every-worker\n");
    EXPECT_OK(WriteFile(folder_.path() + "/tokens", text));
    auto tokens = Tokens::Open(folder_.path() + "/tokens");
    EXPECT_OK(tokens);
    tokens_ = *std::move(tokens);
    authorization_.emplace(tokens_.get(), "embedded");
  }

  // What kOwner has: a blob, an artifact `net`, a job that a slot runs, one that was cancelled.
  void MakeThings() {
    bytes_ = ModelBytes();
    auto blob = store_->blobs->PutBytes(kOwner, bytes_);
    EXPECT_OK(blob);
    blob_ = *blob;
    MakeArtifact("net");
    token_ = absl::StrCat(kOwner, "-submit");
    running_ = MakeJob(1);
    token_ = "every-worker";
    EXPECT_EQ(Calls().at("Workers.Synchronize")().Word(), "OK");
  }
  void MakeArtifact(const std::string& name) {
    auto artifact = CreateArtifact(*store_, kOwner, ArtifactRequest(name));
    EXPECT_OK(artifact);
    versions_[name] = artifact.ok() ? artifact->version() : 0;
  }
  v1::CreateArtifactRequest ArtifactRequest(const std::string& name) {
    v1::CreateArtifactRequest request;
    request.set_name(name);
    request.set_kind(v1::MODEL);
    v1::ArtifactFile& file = *request.add_files();
    file.set_name("model.safetensors");
    *file.mutable_blob() = blob_;
    return request;
  }
  v1::CreateJobRequest JobRequest(int64_t seed) {
    v1::CreateJobRequest request;
    request.set_analysis("bilinear.spectrum");
    request.set_seed(seed);
    (*request.mutable_inputs())["model"].add_refs("net");
    return request;
  }
  std::string MakeJob(int64_t seed) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", absl::StrCat("Bearer ", kOwner, "-submit"));
    v1::CreateJobResponse response;
    EXPECT_OK(FromGrpc(v1::Jobs::NewStub(channel_)->Create(&context, JobRequest(seed), &response)));
    return response.job().id();
  }
  // Ended at once: nothing has taken it.
  std::string MakeCancelledJob() {
    const std::string id = MakeJob(++seeds_);
    EXPECT_OK(jobs_->Cancel({kOwner, id}));
    return id;
  }

  // Puts token_ into a context.
  grpc::ClientContext* With(grpc::ClientContext& context) {
    if (!token_.empty()) context.AddMetadata("authorization", "Bearer " + token_);
    return &context;
  }
  // One unary call of a service; `seen` looks at the response.
  template <typename Stub, typename Request, typename Response>
  Answer Ask(Stub stub,
             grpc::Status (Stub::element_type::*method)(grpc::ClientContext*, const Request&,
                                                        Response*),
             const Request& request, std::function<bool(const Response&)> seen = nullptr) {
    grpc::ClientContext context;
    Response response;
    Answer answer{((*stub).*method)(With(context), request, &response)};
    if (answer.status.ok() && seen != nullptr) answer.seen = seen(response);
    return answer;
  }

  using Call = std::function<Answer()>;
  std::map<std::string, Call> Calls();
  void AddBlobs(std::map<std::string, Call>& calls);
  void AddArtifacts(std::map<std::string, Call>& calls);
  void AddJobs(std::map<std::string, Call>& calls);
  void AddWorkers(std::map<std::string, Call>& calls);
  void AddServer(std::map<std::string, Call>& calls);

  std::unique_ptr<Tokens> tokens_;
  std::optional<Authorization> authorization_;
  Errands errands_;
  Pool pool_;
  std::optional<Door> door_;
  std::unique_ptr<Jobs> jobs_;
  std::optional<Collector> collector_;
  std::optional<Backend> backend_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::string bytes_, running_, lease_token_, token_;
  v1::Blob blob_;
  std::map<std::string, int64_t> versions_;
  int64_t seeds_ = 100;
};

void IdentityTest::AddBlobs(std::map<std::string, Call>& calls) {
  calls["Blobs.FindMissing"] = [this] {
    v1::FindMissingRequest request;
    request.add_sha256(blob_.sha256());
    return Ask<std::unique_ptr<v1::Blobs::Stub>, v1::FindMissingRequest, v1::FindMissingResponse>(
        v1::Blobs::NewStub(channel_), &v1::Blobs::Stub::FindMissing, request,
        [](const auto& response) { return response.missing().empty(); });
  };
  calls["Blobs.QueryWriteStatus"] = [this] {
    v1::QueryWriteStatusRequest request;
    request.set_upload_id("u");
    *request.mutable_blob() = blob_;
    return Ask<std::unique_ptr<v1::Blobs::Stub>, v1::QueryWriteStatusRequest,
               v1::QueryWriteStatusResponse>(
        v1::Blobs::NewStub(channel_), &v1::Blobs::Stub::QueryWriteStatus, request,
        [](const auto& response) { return response.complete(); });
  };
  calls["Blobs.Write"] = [this] {  // the digest without the bytes
    grpc::ClientContext context;
    v1::WriteResponse response;
    auto writer = v1::Blobs::NewStub(channel_)->Write(With(context), &response);
    v1::WriteRequest request;
    request.set_upload_id("u");
    *request.mutable_blob() = blob_;
    writer->Write(request);
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    return Answer{status, response.complete()};
  };
  calls["Blobs.Read"] = [this] {
    grpc::ClientContext context;
    v1::ReadRequest request;
    request.set_sha256(blob_.sha256());
    auto reader = v1::Blobs::NewStub(channel_)->Read(With(context), request);
    v1::ReadResponse response;
    std::string got;
    while (reader->Read(&response)) got += response.data();
    const grpc::Status status = reader->Finish();
    return Answer{status, got == bytes_};
  };
}

void IdentityTest::AddArtifacts(std::map<std::string, Call>& calls) {
  using Stub = std::unique_ptr<v1::Artifacts::Stub>;
  auto stub = [this] { return v1::Artifacts::NewStub(channel_); };
  calls["Artifacts.Create"] = [=, this] {
    return Ask<Stub, v1::CreateArtifactRequest, v1::Artifact>(stub(), &v1::Artifacts::Stub::Create,
                                                              ArtifactRequest("copy"));
  };
  calls["Artifacts.Get"] = [=, this] {
    v1::GetArtifactRequest request;
    request.set_ref("net");
    return Ask<Stub, v1::GetArtifactRequest, v1::Artifact>(stub(), &v1::Artifacts::Stub::Get,
                                                           request);
  };
  calls["Artifacts.List"] = [=, this] {
    return Ask<Stub, v1::ListArtifactsRequest, v1::ListArtifactsResponse>(
        stub(), &v1::Artifacts::Stub::List, {},
        [](const auto& response) { return response.artifacts_size() > 0; });
  };
  calls["Artifacts.ListTensors"] = [=, this] {
    v1::ListTensorsRequest request;
    request.set_ref("net");
    return Ask<Stub, v1::ListTensorsRequest, v1::ListTensorsResponse>(
        stub(), &v1::Artifacts::Stub::ListTensors, request);
  };
  calls["Artifacts.Delete"] = [=, this] {
    MakeArtifact("doomed");
    v1::DeleteArtifactRequest request;
    request.set_ref(absl::StrCat("doomed@", versions_["doomed"]));
    return Ask<Stub, v1::DeleteArtifactRequest, v1::DeleteArtifactResponse>(
        stub(), &v1::Artifacts::Stub::Delete, request);
  };
  calls["Artifacts.SetAlias"] = [=, this] {
    v1::SetAliasRequest request;
    request.set_ref(absl::StrCat("net@", versions_["net"]));
    request.set_alias("prod");
    return Ask<Stub, v1::SetAliasRequest, v1::Alias>(stub(), &v1::Artifacts::Stub::SetAlias,
                                                     request);
  };
  calls["Analyses.List"] = [this] {
    v1::ListAnalysesRequest request;
    request.set_for_artifact("net");
    return Ask<std::unique_ptr<v1::Analyses::Stub>, v1::ListAnalysesRequest,
               v1::ListAnalysesResponse>(v1::Analyses::NewStub(channel_), &v1::Analyses::Stub::List,
                                         request);
  };
  calls["Analyses.Get"] = [this] {
    v1::GetAnalysisRequest request;
    request.set_name("bilinear.spectrum");
    return Ask<std::unique_ptr<v1::Analyses::Stub>, v1::GetAnalysisRequest, v1::Analysis>(
        v1::Analyses::NewStub(channel_), &v1::Analyses::Stub::Get, request);
  };
}

void IdentityTest::AddJobs(std::map<std::string, Call>& calls) {
  using Stub = std::unique_ptr<v1::Jobs::Stub>;
  auto stub = [this] { return v1::Jobs::NewStub(channel_); };
  calls["Jobs.Create"] = [=, this] {
    return Ask<Stub, v1::CreateJobRequest, v1::CreateJobResponse>(stub(), &v1::Jobs::Stub::Create,
                                                                  JobRequest(++seeds_));
  };
  calls["Jobs.Get"] = [=, this] {
    v1::GetJobRequest request;
    request.set_id(running_);
    return Ask<Stub, v1::GetJobRequest, v1::Job>(stub(), &v1::Jobs::Stub::Get, request);
  };
  calls["Jobs.List"] = [=, this] {
    return Ask<Stub, v1::ListJobsRequest, v1::ListJobsResponse>(
        stub(), &v1::Jobs::Stub::List, {},
        [](const auto& response) { return response.jobs_size() > 0; });
  };
  calls["Jobs.Wait"] = [=, this] {
    v1::WaitJobRequest request;
    request.set_id(running_);
    request.mutable_timeout();
    return Ask<Stub, v1::WaitJobRequest, v1::Job>(stub(), &v1::Jobs::Stub::Wait, request);
  };
  calls["Jobs.Watch"] = [=, this] {  // the first event, of a job that goes on
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_id(running_);
    auto reader = stub()->Watch(With(context), request);
    v1::JobEvent event;
    const bool seen = reader->Read(&event);
    if (seen) context.TryCancel();
    const grpc::Status status = reader->Finish();
    return Answer{seen ? grpc::Status::OK : status, seen};
  };
  calls["Jobs.Cancel"] = [=, this] {
    v1::CancelJobRequest request;
    request.set_id(MakeJob(++seeds_));
    return Ask<Stub, v1::CancelJobRequest, v1::Job>(stub(), &v1::Jobs::Stub::Cancel, request);
  };
  calls["Jobs.Retry"] = [=, this] {
    v1::RetryJobRequest request;
    request.set_id(MakeCancelledJob());
    return Ask<Stub, v1::RetryJobRequest, v1::Job>(stub(), &v1::Jobs::Stub::Retry, request);
  };
  calls["Jobs.Delete"] = [=, this] {
    v1::DeleteJobRequest request;
    request.set_id(MakeCancelledJob());
    return Ask<Stub, v1::DeleteJobRequest, google::protobuf::Empty>(stub(), &v1::Jobs::Stub::Delete,
                                                                    request);
  };
}

void IdentityTest::AddWorkers(std::map<std::string, Call>& calls) {
  using Stub = std::unique_ptr<v1::Workers::Stub>;
  auto stub = [this] { return v1::Workers::NewStub(channel_); };
  calls["Workers.Synchronize"] = [=, this] {
    v1::SynchronizeRequest request;
    request.set_protocol_version(1);
    request.set_slot("w/cpu");
    request.set_incarnation("i");
    request.set_state(v1::IDLE);
    request.set_memory_bytes(int64_t{1} << 40);
    request.mutable_engine()->set_device_kind("cpu");
    v1::OfferedAnalysis& offered = *request.add_analyses();
    offered.set_name("bilinear.spectrum");
    offered.set_version(1);
    return Ask<Stub, v1::SynchronizeRequest, v1::SynchronizeResponse>(
        stub(), &v1::Workers::Stub::Synchronize, request, [this](const auto& response) {
          lease_token_ = response.lease().token();
          return response.lease().job() == running_;
        });
  };
  // What the job of MakeThings keeps: by the token of its lease.
  calls["Workers.Save"] = [=, this] {
    v1::SaveRequest request;
    request.set_lease_token(lease_token_);
    request.set_key("k");
    *request.mutable_blob() = blob_;
    return Ask<Stub, v1::SaveRequest, v1::SaveResponse>(stub(), &v1::Workers::Stub::Save, request);
  };
  calls["Workers.Load"] = [=, this] {
    v1::LoadRequest request;
    request.set_lease_token(lease_token_);
    request.set_key("k");
    return Ask<Stub, v1::LoadRequest, v1::LoadResponse>(
        stub(), &v1::Workers::Stub::Load, request,
        [this](const auto& response) { return response.blob().sha256() == blob_.sha256(); });
  };
  calls["Workers.List"] = [=, this] {  // the slot is everybody's, its job is not
    return Ask<Stub, v1::ListWorkersRequest, v1::ListWorkersResponse>(
        stub(), &v1::Workers::Stub::List, {}, [this](const auto& response) {
          return response.workers_size() == 1 && response.workers(0).job() == running_;
        });
  };
  calls["Workers.Drain"] = [=, this] {
    v1::DrainRequest request;
    request.set_name("w/cpu");
    request.mutable_grace()->set_seconds(3600);
    return Ask<Stub, v1::DrainRequest, google::protobuf::Empty>(stub(), &v1::Workers::Stub::Drain,
                                                                request);
  };
}

void IdentityTest::AddServer(std::map<std::string, Call>& calls) {
  using Stub = std::unique_ptr<v1::Server::Stub>;
  auto stub = [this] { return v1::Server::NewStub(channel_); };
  calls["Server.GetInfo"] = [=, this] {
    return Ask<Stub, v1::GetInfoRequest, v1::ServerInfo>(stub(), &v1::Server::Stub::GetInfo, {});
  };
  calls["Server.Check"] = [=, this] {
    grpc::ClientContext context;
    auto reader = stub()->Check(With(context), v1::CheckRequest());
    v1::CheckResponse response;
    while (reader->Read(&response)) EXPECT_FALSE(response.has_problem());
    const grpc::Status status = reader->Finish();
    return Answer{status, response.done()};
  };
  calls["Server.Backup"] = [=, this] {
    return Ask<Stub, v1::BackupRequest, v1::Backup>(
        stub(), &v1::Server::Stub::Backup, {},
        [](const auto& backup) { return backup.blobs() > 0; });
  };
  calls["Server.Collect"] = [=, this] {
    return Ask<Stub, v1::CollectRequest, v1::CollectResponse>(
        stub(), &v1::Server::Stub::Collect, {});
  };
}

std::map<std::string, IdentityTest::Call> IdentityTest::Calls() {
  std::map<std::string, Call> calls;
  AddBlobs(calls);
  AddArtifacts(calls);
  AddJobs(calls);
  AddWorkers(calls);
  AddServer(calls);
  return calls;
}

// `scopes`: whose tokens may call it at all. `right`: what kOwner is answered who may, or a worker
// where only he may. `other`: what kOther's admin is answered.
struct Cell {
  const char *method, *scopes, *right, *other;
};
constexpr Cell kCells[] = {
    {"Server.GetInfo", "read submit admin worker", "OK", "OK"},
    {"Server.Check", "admin", "OK", "OK"},
    {"Server.Backup", "admin", "OK", "OK"},
    {"Server.Collect", "admin", "OK", "OK"},
    {"Blobs.FindMissing", "submit admin worker", "OK", "OK, nothing"},
    {"Blobs.Write", "submit admin worker", "OK", "OK, nothing"},
    {"Blobs.QueryWriteStatus", "submit admin worker", "OK", "OK, nothing"},
    {"Blobs.Read", "read submit admin worker", "OK", "NotFound"},
    {"Artifacts.Create", "submit admin", "OK", "FailedPrecondition"},  // not his blob
    {"Artifacts.Get", "read submit admin", "OK", "NotFound"},
    {"Artifacts.List", "read submit admin", "OK", "OK, nothing"},
    {"Artifacts.ListTensors", "read submit admin", "OK", "NotFound"},
    {"Artifacts.Delete", "submit admin", "OK", "NotFound"},
    {"Artifacts.SetAlias", "submit admin", "OK", "NotFound"},
    {"Analyses.List", "read submit admin", "OK", "NotFound"},  // of an artifact
    {"Analyses.Get", "read submit admin", "OK", "OK"},
    {"Jobs.Create", "submit admin", "OK", "NotFound"},  // its input
    {"Jobs.Get", "read submit admin", "OK", "NotFound"},
    {"Jobs.List", "read submit admin", "OK", "OK, nothing"},
    {"Jobs.Watch", "read submit admin", "OK", "NotFound"},
    {"Jobs.Wait", "read submit admin", "OK", "NotFound"},
    {"Jobs.Cancel", "submit admin", "OK", "NotFound"},
    {"Jobs.Retry", "submit admin", "OK", "NotFound"},
    {"Jobs.Delete", "submit admin", "OK", "NotFound"},
    {"Workers.Synchronize", "worker", "OK", "PermissionDenied"},
    {"Workers.Save", "worker", "OK", "PermissionDenied"},
    {"Workers.Load", "worker", "OK", "PermissionDenied"},
    {"Workers.List", "read submit admin", "OK", "OK, nothing"},
    {"Workers.Drain", "admin", "OK", "OK"},  // slots are shared
};

TEST_F(IdentityTest, EveryRpcAnswersEverybodyAsTheTableSays) {
  std::map<std::string, Call> calls = Calls();
  std::set<std::string> in_table;
  for (const Cell& cell : kCells) {
    in_table.insert(cell.method);
    ASSERT_TRUE(calls.contains(cell.method)) << cell.method;
    const Call& call = calls[cell.method];
    token_ = "";
    EXPECT_EQ(call().Word(), "Unauthenticated") << cell.method << " without a token";
    token_ = "nobody's";
    EXPECT_EQ(call().Word(), "Unauthenticated") << cell.method << " with an unknown token";
    const std::set<std::string> scopes = absl::StrSplit(cell.scopes, ' ');
    for (const char* scope : {"read", "submit", "admin", "worker"}) {
      const bool worker = absl::string_view(scope) == "worker";
      token_ = absl::StrCat(worker ? "every" : kOwner, "-", scope);
      EXPECT_EQ(call().Word(), scopes.contains(scope) ? cell.right : "PermissionDenied")
          << cell.method << " by " << token_;
    }
    token_ = absl::StrCat(kOther, "-admin");
    EXPECT_EQ(call().Word(), cell.other) << cell.method << " by another tenant";
  }
  EXPECT_EQ(in_table, testing::MethodsByReflection(channel_));
}

// A job of the other tenant with the same name, work and request_id is a job of its own.
TEST_F(IdentityTest, NeitherRequestIdsNorResultsAreSharedBetweenTenants) {
  ASSERT_OK(store_->blobs->PutBytes(kOther, bytes_));
  ASSERT_OK(CreateArtifact(*store_, kOther, ArtifactRequest("net")));
  v1::CreateJobRequest request = JobRequest(1);  // as running_
  request.set_request_id("r");
  std::set<std::string> ids = {running_};
  for (const char* tenant : {kOwner, kOther}) {
    grpc::ClientContext context;
    token_ = absl::StrCat(tenant, "-submit");
    v1::CreateJobResponse response;
    ASSERT_OK(FromGrpc(v1::Jobs::NewStub(channel_)->Create(With(context), request, &response)));
    EXPECT_EQ(response.job().tenant(), tenant);
    EXPECT_FALSE(response.cache_hit());
    EXPECT_TRUE(ids.insert(response.job().id()).second);
  }
}

}  // namespace
}  // namespace radiograph
