#include "client/cpp/fake_server.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"

namespace radiograph::testing {
namespace {

using grpc::Status;
using grpc::StatusCode;
using State = FakeServer::State;

constexpr int kPage = 2;  // entries of a page
constexpr int64_t kReadChunk = 1000;

Status Exhausted() {
  google::rpc::Status details;
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(1000);
  details.add_details()->PackFrom(retry);
  return Status(StatusCode::RESOURCE_EXHAUSTED, "128 calls are open", details.SerializeAsString());
}

// The fault of a unary call, if one is due.
Status Fault(State& state) {
  if (state.faults.unavailable > 0 && state.faults.unavailable-- > 0) {
    return Status(StatusCode::UNAVAILABLE, "going down");
  }
  if (state.faults.exhausted > 0 && state.faults.exhausted-- > 0) return Exhausted();
  return Status::OK;
}

std::string RefOf(const v1::Artifact& artifact) {
  return absl::StrCat(artifact.name(), "@", artifact.version());
}

// Entries from the page token on; the token of the next page.
template <typename Entry, typename Out>
std::string Page(const std::vector<Entry>& all, const std::string& token, Out* out) {
  size_t begin = 0;
  if (!token.empty() && !absl::SimpleAtoi(token, &begin)) return "";
  size_t end = std::min(all.size(), begin + kPage);
  for (size_t i = begin; i < end; ++i) *out->Add() = all[i];
  return end < all.size() ? absl::StrCat(end) : "";
}

}  // namespace

struct FakeServer::Services {
  explicit Services(FakeServer& fake)
      : server(fake), blobs(fake), artifacts(fake), analyses(fake), jobs(fake), workers(fake) {}

  struct Server final : v1::Server::Service {
    explicit Server(FakeServer& fake) : fake(fake) {}
    Status GetInfo(grpc::ServerContext*, const v1::GetInfoRequest*, v1::ServerInfo* info) override {
      info->set_version("fake");
      v1::Device& device = *info->add_devices();
      device.set_kind("cpu");
      device.set_model("abacus");
      device.set_memory_bytes(1 << 30);
      info->mutable_usage()->set_queued_jobs(2);
      info->mutable_limits()->set_queued_jobs_per_tenant_max(5);
      info->mutable_usage()->set_stored_bytes(3 << 20);
      return fake.With([](State& state) { return Fault(state); });
    }
    Status Check(grpc::ServerContext*, const v1::CheckRequest* request,
                 grpc::ServerWriter<v1::CheckResponse>* writer) override {
      v1::CheckResponse response;
      for (const v1::Problem& problem : fake.With([](State& state) { return state.problems; })) {
        response.set_problems(response.problems() + 1);
        *response.mutable_problem() = problem;
        writer->Write(response);
      }
      response.clear_problem();
      response.set_blobs(2);
      response.set_bytes(request->digests() ? 100 : 0);
      response.set_done(true);
      writer->Write(response);
      return Status::OK;
    }
    Status Backup(grpc::ServerContext*, const v1::BackupRequest*, v1::Backup* backup) override {
      backup->set_folder("/state/backups/now");
      backup->set_blobs(2);
      return Status::OK;
    }
    Status Collect(grpc::ServerContext*, const v1::CollectRequest* request,
                   v1::CollectResponse* response) override {
      response->set_jobs(request->validate_only() ? 7 : 3);
      return Status::OK;
    }
    FakeServer& fake;
  };

  struct Blobs final : v1::Blobs::Service {
    explicit Blobs(FakeServer& fake) : fake(fake) {}
    Status FindMissing(grpc::ServerContext*, const v1::FindMissingRequest* request,
                       v1::FindMissingResponse* response) override {
      return fake.With([&](State& state) {
        for (const std::string& digest : request->sha256()) {
          if (!state.blobs.contains(digest)) response->add_missing(digest);
        }
        return Fault(state);
      });
    }
    Status Write(grpc::ServerContext*, grpc::ServerReader<v1::WriteRequest>* reader,
                 v1::WriteResponse* response) override {
      v1::WriteRequest request, first;
      for (bool begun = false; reader->Read(&request); begun = true) {
        if (!begun) first = request;
        Status status = fake.With([&](State& state) { return Append(state, first, request); });
        if (!status.ok()) return status;
      }
      return fake.With([&](State& state) { return Commit(state, first, response); });
    }
    Status QueryWriteStatus(grpc::ServerContext*, const v1::QueryWriteStatusRequest* request,
                            v1::QueryWriteStatusResponse* response) override {
      return fake.With([&](State& state) {
        response->set_complete(state.blobs.contains(request->blob().sha256()));
        auto upload = state.uploads.find(request->upload_id());
        if (upload == state.uploads.end()) return Status(StatusCode::NOT_FOUND, "no such upload");
        response->set_committed_size(upload->second.size());
        return Status::OK;
      });
    }
    Status Read(grpc::ServerContext*, const v1::ReadRequest* request,
                grpc::ServerWriter<v1::ReadResponse>* writer) override {
      bool breaks = false;
      std::string bytes = fake.With([&](State& state) {
        std::string blob = state.blobs[request->sha256()];
        if (state.faults.corrupt_reads && !blob.empty()) blob.back() ^= 1;
        breaks = state.faults.read_breaks > 0 && state.faults.read_breaks-- > 0;
        return blob;
      });
      for (size_t at = request->offset(); at < bytes.size(); at += kReadChunk) {
        v1::ReadResponse response;
        response.set_data(bytes.substr(at, kReadChunk));
        writer->Write(response);
        if (breaks) return Status(StatusCode::UNAVAILABLE, "connection reset");
      }
      return Status::OK;
    }

    static Status Append(State& state, const v1::WriteRequest& first,
                         const v1::WriteRequest& request) {
      std::string& bytes = state.uploads[first.upload_id()];
      if (request.offset() != static_cast<int64_t>(bytes.size())) {
        return Status(StatusCode::INVALID_ARGUMENT,
                      absl::StrCat("offset ", request.offset(), ", committed ", bytes.size()));
      }
      state.bytes_received += request.data().size();
      bytes += request.data();
      Faults& faults = state.faults;
      if (faults.write_breaks > 0 &&
          static_cast<int64_t>(bytes.size()) >= faults.write_break_bytes) {
        --faults.write_breaks;
        if (faults.forget_uploads) state.uploads.erase(first.upload_id());
        return Status(StatusCode::UNAVAILABLE, "connection reset");
      }
      return Status::OK;
    }
    static Status Commit(State& state, const v1::WriteRequest& first, v1::WriteResponse* response) {
      const std::string& bytes = state.uploads[first.upload_id()];
      response->set_committed_size(bytes.size());
      if (static_cast<int64_t>(bytes.size()) != first.blob().size()) return Status::OK;
      if (Sha256Hex(bytes) != first.blob().sha256()) {
        return Status(StatusCode::INVALID_ARGUMENT, "the bytes don't match the digest");
      }
      state.blobs[first.blob().sha256()] = bytes;
      response->set_complete(true);
      return Status::OK;
    }
    FakeServer& fake;
  };

  struct Artifacts final : v1::Artifacts::Service {
    explicit Artifacts(FakeServer& fake) : fake(fake) {}
    Status Create(grpc::ServerContext*, const v1::CreateArtifactRequest* request,
                  v1::Artifact* artifact) override {
      artifact->set_name(request->name());
      artifact->set_kind(request->kind());
      *artifact->mutable_files() = request->files();
      *artifact->mutable_labels() = request->labels();
      *artifact->mutable_roles() = request->roles();
      return fake.With([&](State& state) {
        artifact->set_version(1 + std::count_if(state.artifacts.begin(), state.artifacts.end(),
                                                [&](const v1::Artifact& earlier) {
                                                  return earlier.name() == request->name();
                                                }));
        state.artifacts.push_back(*artifact);
        return Fault(state);
      });
    }
    Status Get(grpc::ServerContext*, const v1::GetArtifactRequest* request,
               v1::Artifact* artifact) override {
      return fake.With([&](State& state) {
        for (const v1::Artifact& known : state.artifacts) {
          if (request->ref() == known.name() || request->ref() == RefOf(known)) *artifact = known;
        }
        if (artifact->name().empty())
          return Status(StatusCode::NOT_FOUND, "no artifact " + request->ref());
        return Fault(state);
      });
    }
    Status List(grpc::ServerContext*, const v1::ListArtifactsRequest* request,
                v1::ListArtifactsResponse* response) override {
      return fake.With([&](State& state) {
        state.listed_artifacts = *request;
        response->set_next_page_token(
            Page(state.artifacts, request->page_token(), response->mutable_artifacts()));
        return Fault(state);
      });
    }
    Status ListTensors(grpc::ServerContext*, const v1::ListTensorsRequest* request,
                       v1::ListTensorsResponse* response) override {
      return fake.With([&](State& state) {
        response->set_next_page_token(
            Page(state.tensors, request->page_token(), response->mutable_tensors()));
        return Fault(state);
      });
    }
    Status Delete(grpc::ServerContext*, const v1::DeleteArtifactRequest* request,
                  v1::DeleteArtifactResponse*) override {
      return fake.With([&](State& state) {
        size_t erased = std::erase_if(state.artifacts, [&](const v1::Artifact& artifact) {
          return RefOf(artifact) == request->ref();
        });
        return erased > 0 ? Fault(state)
                          : Status(StatusCode::NOT_FOUND, "no artifact " + request->ref());
      });
    }
    Status SetAlias(grpc::ServerContext*, const v1::SetAliasRequest* request,
                    v1::Alias* alias) override {
      return fake.With([&](State& state) {
        state.aliases.push_back(*request);
        if (request->etag() == "old") return Status(StatusCode::ABORTED, "with etag new, not old");
        for (const v1::Artifact& artifact : state.artifacts) {
          if (RefOf(artifact) != request->ref()) continue;
          alias->set_name(artifact.name());
          alias->set_version(artifact.version());
        }
        alias->set_alias(request->alias());
        alias->set_etag("new");
        return Fault(state);
      });
    }
    FakeServer& fake;
  };

  struct Analyses final : v1::Analyses::Service {
    explicit Analyses(FakeServer& fake) : fake(fake) {}
    Status List(grpc::ServerContext*, const v1::ListAnalysesRequest*,
                v1::ListAnalysesResponse* response) override {
      return fake.With([&](State& state) {
        for (const v1::Analysis& analysis : state.analyses) *response->add_analyses() = analysis;
        return Fault(state);
      });
    }
    Status Get(grpc::ServerContext*, const v1::GetAnalysisRequest* request,
               v1::Analysis* response) override {
      return fake.With([&](State& state) {
        for (const v1::Analysis& analysis : state.analyses) {
          if (analysis.name() == request->name()) *response = analysis;
        }
        if (response->name().empty())
          return Status(StatusCode::NOT_FOUND, "no analysis " + request->name());
        return Fault(state);
      });
    }
    FakeServer& fake;
  };

  struct Jobs final : v1::Jobs::Service {
    explicit Jobs(FakeServer& fake) : fake(fake) {}
    Status Create(grpc::ServerContext*, const v1::CreateJobRequest* request,
                  v1::CreateJobResponse* response) override {
      return fake.With([&](State& state) {
        if (!state.create_status.ok()) return state.create_status;
        // As after a crash between the commit and the answer: the job is made, the call fails.
        for (const auto& [id, job] : state.jobs) {
          if (job.request_id() == request->request_id()) *response->mutable_job() = job;
        }
        if (response->job().id().empty()) {
          v1::Job job = state.next_job;
          job.set_id(absl::StrCat("job-", state.jobs.size() + 1));
          job.set_analysis(request->analysis());
          job.set_request_id(request->request_id());
          state.created.push_back(*request);
          state.jobs[job.id()] = job;
          *response->mutable_job() = job;
        }
        response->set_cache_hit(response->job().cache_hit());
        return Fault(state);
      });
    }
    Status Get(grpc::ServerContext*, const v1::GetJobRequest* request, v1::Job* job) override {
      return fake.With([&](State& state) {
        const Status found = Find(state, request->id(), job);
        if (job->state() == v1::QUEUED && !state.reasons.empty()) {
          const size_t last = state.reasons.size() - 1;
          job->set_pending_reason(state.reasons[std::min<size_t>(state.gets, last)]);
        }
        ++state.gets;
        return found;
      });
    }
    Status List(grpc::ServerContext*, const v1::ListJobsRequest* request,
                v1::ListJobsResponse* response) override {
      return fake.With([&](State& state) {
        std::vector<v1::Job> jobs;
        state.listed = *request;
        for (const auto& [id, job] : state.jobs) jobs.push_back(job);
        response->set_next_page_token(Page(jobs, request->page_token(), response->mutable_jobs()));
        return Fault(state);
      });
    }
    Status Watch(grpc::ServerContext*, const v1::WatchJobRequest* request,
                 grpc::ServerWriter<v1::JobEvent>* writer) override {
      bool breaks = false;
      v1::Job job;
      std::vector<v1::JobEvent> events;
      AwaitNews();
      Status found = fake.With([&](State& state) {
        events = state.events[request->id()];
        breaks = state.faults.watch_breaks > 0 && state.faults.watch_breaks-- > 0;
        return Find(state, request->id(), &job);
      });
      if (!found.ok()) return found;
      for (const v1::JobEvent& event : events) {
        if (event.sequence() != 0 && event.sequence() <= request->after_sequence()) continue;
        writer->Write(event);
        if (breaks) return Status(StatusCode::UNAVAILABLE, "connection reset");
      }
      return fake.With([&](State& state) {
        End(state, request->id());
        return Status::OK;
      });
    }
    Status Wait(grpc::ServerContext*, const v1::WaitJobRequest* request, v1::Job* job) override {
      AwaitNews();
      return fake.With([&](State& state) {
        Status fault = Fault(state);
        if (!fault.ok()) return fault;
        if (state.waits_until_end-- <= 0) End(state, request->id());
        return Find(state, request->id(), job);
      });
    }
    Status Cancel(grpc::ServerContext*, const v1::CancelJobRequest* request,
                  v1::Job* job) override {
      return fake.With([&](State& state) {
        state.cancelled.insert(request->id());
        return Find(state, request->id(), job);
      });
    }

    void AwaitNews() {
      fake.Await([](State& state) { return state.gets >= state.gets_before_news; });
    }
    static void End(State& state, const std::string& id) {
      auto ending = state.endings.find(id);
      if (ending == state.endings.end()) return;
      state.jobs[id] = ending->second;
      state.jobs[id].set_id(id);
    }
    static Status Find(State& state, const std::string& id, v1::Job* job) {
      auto found = state.jobs.find(id);
      if (found == state.jobs.end()) return Status(StatusCode::NOT_FOUND, "no job " + id);
      *job = found->second;
      return Fault(state);
    }
    FakeServer& fake;
  };

  struct Workers final : v1::Workers::Service {
    explicit Workers(FakeServer& fake) : fake(fake) {}
    Status List(grpc::ServerContext*, const v1::ListWorkersRequest*,
                v1::ListWorkersResponse* response) override {
      return fake.With([&](State& state) {
        for (const v1::Worker& worker : state.workers) *response->add_workers() = worker;
        return Fault(state);
      });
    }
    Status Drain(grpc::ServerContext*, const v1::DrainRequest* request,
                 google::protobuf::Empty*) override {
      return fake.With([&](State& state) {
        state.drains.push_back(*request);
        return Fault(state);
      });
    }
    FakeServer& fake;
  };

  Server server;
  Blobs blobs;
  Artifacts artifacts;
  Analyses analyses;
  Jobs jobs;
  Workers workers;
};

FakeServer::FakeServer() : services_(std::make_unique<Services>(*this)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&services_->server);
  builder.RegisterService(&services_->blobs);
  builder.RegisterService(&services_->artifacts);
  builder.RegisterService(&services_->analyses);
  builder.RegisterService(&services_->jobs);
  builder.RegisterService(&services_->workers);
  server_ = builder.BuildAndStart();
  endpoint_ = absl::StrCat("127.0.0.1:", port);
}

FakeServer::~FakeServer() { server_->Shutdown(absl::ToChronoTime(absl::Now())); }

}  // namespace radiograph::testing
