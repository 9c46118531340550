#include "server/rpc/services.h"

#include <utility>

#include "core/analyses/catalog.h"
#include "core/artifact/resolve.h"
#include "core/base/filter.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/safetensors/header.h"
#include "radiograph/v1/analyses.grpc.pb.h"
#include "radiograph/v1/artifacts.grpc.pb.h"
#include "radiograph/v1/blobs.grpc.pb.h"
#include "radiograph/v1/jobs.grpc.pb.h"
#include "radiograph/v1/server.grpc.pb.h"
#include "radiograph/v1/workers.grpc.pb.h"
#include "server/rpc/analyses.h"
#include "server/rpc/artifacts.h"
#include "server/rpc/blobs.h"
#include "server/rpc/create_job.h"
#include "server/rpc/idle_limit.h"
#include "server/rpc/status.h"
#include "server/rpc/waiting.h"
#include "server/store/backup.h"
#include "server/store/check.h"
#include "server/store/page.h"

namespace radiograph {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerContext;

// Runs the body of a synchronous handler for the caller's tenant: it answers with a StatusOr of the
// response, or a Status.
template <typename Body>
grpc::Status Run(Backend& backend, absl::string_view method, ServerContext* context, Body body) {
  absl::StatusOr<Door::Entry> entry = backend.door->Enter(method, *context);
  const absl::Status status = entry.ok() ? body(entry->caller().tenant) : entry.status();
  if (absl::IsResourceExhausted(status)) backend.on_exhausted(ReasonOf(status));
  if (status.code() == absl::StatusCode::kInternal ||
      status.code() == absl::StatusCode::kDataLoss) {
    Log(LogLevel::kError, "call_failed",
        {{"method", std::string(method)}, {"error", std::string(status.message())}});
  }
  return ToGrpc(status);
}

template <typename Response, typename Body>
grpc::Status Answer(Backend& backend, absl::string_view method, ServerContext* context,
                    Response* response, Body body) {
  return Run(backend, method, context, [&](const std::string& tenant) -> absl::Status {
    ASSIGN_OR_RETURN(*response, body(tenant));
    return absl::OkStatus();
  });
}

class ServerService final : public v1::Server::Service {
 public:
  explicit ServerService(Backend* backend) : backend_(*backend) {}
  grpc::Status GetInfo(ServerContext* context, const v1::GetInfoRequest*,
                       v1::ServerInfo* info) override {
    return Answer(backend_, "Server.GetInfo", context, info,
                  [&](const std::string& tenant) { return Info(tenant); });
  }

  grpc::Status Check(ServerContext* context, const v1::CheckRequest* request,
                     grpc::ServerWriter<v1::CheckResponse>* writer) override {
    return Run(backend_, "Server.Check", context, [&](const std::string&) {
      return radiograph::Check(
          *backend_.store, *request, *backend_.clock, [&] { return context->IsCancelled(); },
          [&](const v1::CheckResponse& response) {
            return writer->Write(response) ? absl::OkStatus()
                                           : absl::CancelledError("the client has gone");
          });
    });
  }
  grpc::Status Backup(ServerContext* context, const v1::BackupRequest*,
                      v1::Backup* response) override {
    return Answer(backend_, "Server.Backup", context, response, [&](const std::string&) {
      return MakeBackup(*backend_.store, *backend_.collector, *backend_.clock, *backend_.disk,
                        [&] { return context->IsCancelled(); });
    });
  }
  grpc::Status Collect(ServerContext* context, const v1::CollectRequest* request,
                       v1::CollectResponse* response) override {
    return Answer(backend_, "Server.Collect", context, response, [&](const std::string&) {
      return backend_.collector->Collect(request->validate_only(),
                                         [&] { return context->IsCancelled(); });
    });
  }

 private:
  absl::StatusOr<v1::Usage> UsageOf(const std::string& tenant) {
    v1::Usage usage;
    ASSIGN_OR_RETURN(const int64_t bytes, backend_.store->blobs->StoredBytes(tenant));
    usage.set_stored_bytes(bytes);
    usage.set_queued_jobs(backend_.jobs->CountOf(tenant, v1::QUEUED));
    usage.set_running_jobs(backend_.jobs->CountOf(tenant, v1::RUNNING));
    const Door::Inside inside = backend_.door->InsideOf(tenant);
    usage.set_blob_streams(inside.blob_streams);
    usage.set_waits(inside.waits);
    return usage;
  }
  // The devices are those of the slots that have told of their compute process.
  absl::StatusOr<v1::ServerInfo> Info(const std::string& tenant) {
    v1::ServerInfo info = backend_.info;
    info.mutable_limits()->set_disk_free_bytes_min(backend_.store->blobs->space().free_bytes_min());
    ASSIGN_OR_RETURN(*info.mutable_usage(), UsageOf(tenant));
    const v1::ListWorkersResponse workers = backend_.jobs->ListWorkers(tenant);
    for (const v1::Worker& worker : workers.workers()) {
      if (worker.engine().device_kind().empty()) continue;
      v1::Device* device = info.add_devices();
      device->set_kind(worker.engine().device_kind());
      device->set_model(worker.engine().device_model());
      device->set_memory_bytes(worker.memory_bytes());
    }
    return info;
  }
  Backend& backend_;
};

class BlobsService final : public v1::Blobs::Service {
 public:
  explicit BlobsService(Backend* backend) : backend_(*backend) {}
  grpc::Status FindMissing(ServerContext* context, const v1::FindMissingRequest* request,
                           v1::FindMissingResponse* response) override {
    return Answer(backend_, "Blobs.FindMissing", context, response, [&](const std::string& tenant) {
      return radiograph::FindMissing(*backend_.store->blobs, tenant, *request);
    });
  }
  grpc::Status Write(ServerContext* context, grpc::ServerReader<v1::WriteRequest>* reader,
                     v1::WriteResponse* response) override {
    return Answer(backend_, "Blobs.Write", context, response, [&](const std::string& tenant) {
      IdleLimit idle(context, backend_.blob_stream_idle_max);
      return WriteBlob(*backend_.store->blobs, tenant, [&](v1::WriteRequest& message) {
        return idle.Wait([&] { return reader->Read(&message); });
      });
    });
  }
  grpc::Status QueryWriteStatus(ServerContext* context, const v1::QueryWriteStatusRequest* request,
                                v1::QueryWriteStatusResponse* response) override {
    return Answer(
        backend_, "Blobs.QueryWriteStatus", context, response, [&](const std::string& tenant) {
          return backend_.store->blobs->QueryStatus(tenant, request->upload_id(), request->blob());
        });
  }
  grpc::Status Read(ServerContext* context, const v1::ReadRequest* request,
                    grpc::ServerWriter<v1::ReadResponse>* writer) override {
    return Run(backend_, "Blobs.Read", context, [&](const std::string& tenant) {
      IdleLimit idle(context, backend_.blob_stream_idle_max);
      return ReadBlob(*backend_.store->blobs, tenant, *request, [&](const v1::ReadResponse& piece) {
        return idle.Wait([&] { return writer->Write(piece); });
      });
    });
  }

 private:
  Backend& backend_;
};

class ArtifactsService final : public v1::Artifacts::Service {
 public:
  explicit ArtifactsService(Backend* backend) : backend_(*backend) {}
  grpc::Status Create(ServerContext* context, const v1::CreateArtifactRequest* request,
                      v1::Artifact* response) override {
    return Answer(backend_, "Artifacts.Create", context, response, [&](const std::string& tenant) {
      return CreateArtifact(*backend_.store, tenant, *request);
    });
  }
  grpc::Status Get(ServerContext* context, const v1::GetArtifactRequest* request,
                   v1::Artifact* response) override {
    return Answer(backend_, "Artifacts.Get", context, response, [&](const std::string& tenant) {
      return GetArtifact(*backend_.store, *backend_.headers, tenant, *request);
    });
  }
  grpc::Status List(ServerContext* context, const v1::ListArtifactsRequest* request,
                    v1::ListArtifactsResponse* response) override {
    return Answer(backend_, "Artifacts.List", context, response, [&](const std::string& tenant) {
      return backend_.store->catalogue.List(tenant, *request);
    });
  }
  grpc::Status ListTensors(ServerContext* context, const v1::ListTensorsRequest* request,
                           v1::ListTensorsResponse* response) override {
    return Answer(
        backend_, "Artifacts.ListTensors", context, response, [&](const std::string& tenant) {
          return radiograph::ListTensors(*backend_.store, *backend_.headers, tenant, *request);
        });
  }
  grpc::Status Delete(ServerContext* context, const v1::DeleteArtifactRequest* request,
                      v1::DeleteArtifactResponse*) override {
    return Run(backend_, "Artifacts.Delete", context, [&](const std::string& tenant) {
      return backend_.store->catalogue.Delete(tenant, request->ref(), request->etag());
    });
  }
  grpc::Status SetAlias(ServerContext* context, const v1::SetAliasRequest* request,
                        v1::Alias* response) override {
    return Answer(
        backend_, "Artifacts.SetAlias", context, response,
        [&](const std::string& tenant) { return backend_.store->catalogue.SetAlias(tenant, *request); });
  }

 private:
  Backend& backend_;
};

class AnalysesService final : public v1::Analyses::Service {
 public:
  explicit AnalysesService(Backend* backend) : backend_(*backend) {}
  grpc::Status List(ServerContext* context, const v1::ListAnalysesRequest* request,
                    v1::ListAnalysesResponse* response) override {
    return Answer(backend_, "Analyses.List", context, response, [&](const std::string& tenant) {
      return ListAnalyses(Catalog(), *backend_.store, *backend_.headers, tenant, *request);
    });
  }
  grpc::Status Get(ServerContext* context, const v1::GetAnalysisRequest* request,
                   v1::Analysis* response) override {
    return Answer(backend_, "Analyses.Get", context, response,
                  [&](const std::string&) -> absl::StatusOr<v1::Analysis> {
                    ASSIGN_OR_RETURN(const Spec* spec, FindSpec(request->name()));
                    return AnalysisOf(*spec);
                  });
  }

 private:
  Backend& backend_;
};

class JobsService final : public v1::Jobs::WithCallbackMethod_Watch<
                              v1::Jobs::WithCallbackMethod_Wait<v1::Jobs::Service>> {
 public:
  explicit JobsService(Backend* backend) : backend_(*backend) {}
  grpc::Status Create(ServerContext* context, const v1::CreateJobRequest* request,
                      v1::CreateJobResponse* response) override {
    return Answer(backend_, "Jobs.Create", context, response, [&](const std::string& tenant) {
      return CreateJob(*backend_.store, *backend_.headers, *backend_.jobs, tenant, *request);
    });
  }
  grpc::Status Get(ServerContext* context, const v1::GetJobRequest* request,
                   v1::Job* response) override {
    return Answer(backend_, "Jobs.Get", context, response, [&](const std::string& tenant) {
      return backend_.jobs->Get({tenant, request->id()});
    });
  }
  grpc::Status List(ServerContext* context, const v1::ListJobsRequest* request,
                    v1::ListJobsResponse* response) override {
    return Answer(backend_, "Jobs.List", context, response,
                  [&](const std::string& tenant) { return backend_.jobs->List(tenant, *request); });
  }
  grpc::Status Cancel(ServerContext* context, const v1::CancelJobRequest* request,
                      v1::Job* response) override {
    return Answer(backend_, "Jobs.Cancel", context, response, [&](const std::string& tenant) {
      return backend_.jobs->Cancel({tenant, request->id()});
    });
  }
  grpc::Status Retry(ServerContext* context, const v1::RetryJobRequest* request,
                     v1::Job* response) override {
    return Answer(backend_, "Jobs.Retry", context, response, [&](const std::string& tenant) {
      return backend_.jobs->Retry({tenant, request->id()}, request->request_id());
    });
  }
  grpc::Status Delete(ServerContext* context, const v1::DeleteJobRequest* request,
                      google::protobuf::Empty*) override {
    return Run(backend_, "Jobs.Delete", context, [&](const std::string& tenant) {
      return backend_.jobs->Delete({tenant, request->id()});
    });
  }
  grpc::ServerWriteReactor<v1::JobEvent>* Watch(CallbackServerContext* context,
                                                const v1::WatchJobRequest* request) override {
    return radiograph::Watch(backend_, context, request);
  }
  grpc::ServerUnaryReactor* Wait(CallbackServerContext* context, const v1::WaitJobRequest* request,
                                 v1::Job* response) override {
    return radiograph::Wait(backend_, context, request, response);
  }

 private:
  Backend& backend_;
};

class WorkersService final
    : public v1::Workers::WithCallbackMethod_Synchronize<v1::Workers::Service> {
 public:
  explicit WorkersService(Backend* backend) : backend_(*backend) {}
  grpc::ServerUnaryReactor* Synchronize(CallbackServerContext* context,
                                        const v1::SynchronizeRequest* request,
                                        v1::SynchronizeResponse* response) override {
    return radiograph::Synchronize(backend_, context, request, response);
  }
  grpc::Status Save(ServerContext* context, const v1::SaveRequest* request,
                    v1::SaveResponse*) override {
    return Run(backend_, "Workers.Save", context,
               [&](const std::string&) { return backend_.jobs->Save(*request); });
  }
  grpc::Status Load(ServerContext* context, const v1::LoadRequest* request,
                    v1::LoadResponse* response) override {
    return Answer(backend_, "Workers.Load", context, response,
                  [&](const std::string&) { return backend_.jobs->Load(*request); });
  }
  grpc::Status List(ServerContext* context, const v1::ListWorkersRequest*,
                    v1::ListWorkersResponse* response) override {
    return Answer(backend_, "Workers.List", context, response,
                  [&](const std::string& tenant) -> absl::StatusOr<v1::ListWorkersResponse> {
                    return backend_.jobs->ListWorkers(tenant);
                  });
  }
  grpc::Status Drain(ServerContext* context, const v1::DrainRequest* request,
                     google::protobuf::Empty*) override {
    return Run(backend_, "Workers.Drain", context, [&](const std::string&) {
      if (request->resume()) return backend_.jobs->Undrain(request->name());
      return backend_.jobs->Drain(request->name(), absl::Seconds(request->grace().seconds()) +
                                                       absl::Nanoseconds(request->grace().nanos()));
    });
  }

 private:
  Backend& backend_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeServices(Backend* backend) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<ServerService>(backend));
  services.push_back(std::make_unique<BlobsService>(backend));
  services.push_back(std::make_unique<ArtifactsService>(backend));
  services.push_back(std::make_unique<AnalysesService>(backend));
  services.push_back(std::make_unique<JobsService>(backend));
  services.push_back(std::make_unique<WorkersService>(backend));
  return services;
}

v1::Limits MakeLimits(const Door::Options& door, const BlobStore::Options& blobs,
                      const JobsOptions& jobs) {
  v1::Limits limits;
  limits.set_message_bytes_max(kRpcMessageBytesMax);
  limits.set_blob_bytes_max(blobs.blob_bytes_max);
  limits.set_header_bytes_max(safetensors::kHeaderBytesMax);
  limits.set_page_size_max(kPageSizeMax);
  limits.set_chunk_bytes_max(kChunkBytesMax);
  limits.set_calls_max(door.calls_max);
  limits.set_blob_streams_max(door.blob_streams_max);
  limits.set_artifact_files_max(kArtifactFilesMax);
  limits.set_queued_jobs_max(jobs.queued_jobs_max);
  limits.set_find_missing_max(kFindMissingMax);
  limits.set_queued_jobs_per_tenant_max(jobs.queued_jobs_per_tenant_max);
  limits.set_running_jobs_per_tenant_max(jobs.running_jobs_per_tenant_max);
  limits.set_stored_bytes_max(blobs.stored_bytes_max);
  limits.set_stored_bytes_per_tenant_max(blobs.stored_bytes_per_tenant_max);
  limits.set_blob_streams_per_tenant_max(door.blob_streams_per_tenant_max);
  limits.set_waits_max(door.waits_max);
  limits.set_waits_per_tenant_max(door.waits_per_tenant_max);
  limits.set_uploads_max(blobs.uploads_max);
  limits.set_uploads_per_tenant_max(blobs.uploads_per_tenant_max);
  limits.set_filter_bytes_max(kFilterBytesMax);
  limits.set_filter_comparisons_max(kFilterComparisonsMax);
  return limits;
}

}  // namespace radiograph
