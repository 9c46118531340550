#include "client/cpp/client.h"

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cpp/session.h"
#include "core/base/address.h"
#include "core/base/credentials.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

std::string RandomUuid() {
  absl::BitGen random;
  uint64_t high = (absl::Uniform<uint64_t>(random) & ~0xF000ull) | 0x4000;  // version 4
  uint64_t low = (absl::Uniform<uint64_t>(random) & ~(3ull << 62)) | (2ull << 62);
  return absl::StrFormat("%08x-%04x-%04x-%04x-%012x", high >> 32, (high >> 16) & 0xFFFF,
                         high & 0xFFFF, low >> 48, low & 0xFFFFFFFFFFFF);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Make(ClientOptions options) {
  ASSIGN_OR_RETURN(options.endpoint, ParseEndpoint("endpoint", options.endpoint));
  auto named = [](const char* name, const std::string& text) {
    return PemText{text.empty() ? "" : name, text};
  };
  RETURN_IF_ERROR(CheckClientTls(named("tls.authority", options.tls.authority),
                                 named("tls.certificate", options.tls.certificate),
                                 named("tls.key", options.tls.key)));
  if (!options.token.empty()) {
    ASSIGN_OR_RETURN(options.token, ParseToken("token", options.token));
    RETURN_IF_ERROR(
        CheckTokenIsSafe(options.endpoint, !options.tls.authority.empty(), options.insecure));
  }
  return std::unique_ptr<Client>(new Client(std::make_unique<Session>(std::move(options))));
}

Client::Client(std::unique_ptr<Session> session) : session_(std::move(session)) {}
Client::~Client() = default;

absl::StatusOr<v1::ServerInfo> Client::GetInfo() {
  return session_->Call<v1::ServerInfo>([&](auto* context, auto* out) {
    return session_->server->GetInfo(context, v1::GetInfoRequest(), out);
  });
}

absl::StatusOr<v1::Artifact> Client::CreateArtifact(const v1::CreateArtifactRequest& request) {
  return session_->Call<v1::Artifact>(
      [&](auto* context, auto* out) { return session_->artifacts->Create(context, request, out); });
}

absl::StatusOr<v1::Artifact> Client::GetArtifact(absl::string_view ref) {
  v1::GetArtifactRequest request;
  request.set_ref(std::string(ref));
  return session_->Call<v1::Artifact>(
      [&](auto* context, auto* out) { return session_->artifacts->Get(context, request, out); });
}

absl::StatusOr<std::vector<v1::Artifact>> Client::ListArtifacts(v1::ListArtifactsRequest request) {
  request.clear_page_token();
  return session_->Pages<v1::Artifact, v1::ListArtifactsRequest, v1::ListArtifactsResponse>(
      std::move(request), 0,
      [&](auto* context, const auto& page, auto* out) {
        return session_->artifacts->List(context, page, out);
      },
      &v1::ListArtifactsResponse::mutable_artifacts);
}

absl::StatusOr<std::vector<v1::Tensor>> Client::ListTensors(absl::string_view ref) {
  v1::ListTensorsRequest request;
  request.set_ref(std::string(ref));
  return session_->Pages<v1::Tensor, v1::ListTensorsRequest, v1::ListTensorsResponse>(
      std::move(request), 0,
      [&](auto* context, const auto& page, auto* out) {
        return session_->artifacts->ListTensors(context, page, out);
      },
      &v1::ListTensorsResponse::mutable_tensors);
}

absl::Status Client::DeleteArtifact(absl::string_view ref, absl::string_view etag) {
  v1::DeleteArtifactRequest request;
  request.set_ref(std::string(ref));
  request.set_etag(std::string(etag));
  return session_
      ->Call<v1::DeleteArtifactResponse>([&](auto* context, auto* out) {
        return session_->artifacts->Delete(context, request, out);
      })
      .status();
}

absl::StatusOr<v1::Alias> Client::SetAlias(const v1::SetAliasRequest& request) {
  return session_->Call<v1::Alias>([&](auto* context, auto* out) {
    return session_->artifacts->SetAlias(context, request, out);
  });
}

absl::StatusOr<std::vector<v1::Analysis>> Client::ListAnalyses(absl::string_view for_artifact) {
  v1::ListAnalysesRequest request;
  request.set_for_artifact(std::string(for_artifact));
  absl::StatusOr<v1::ListAnalysesResponse> response = session_->Call<v1::ListAnalysesResponse>(
      [&](auto* context, auto* out) { return session_->analyses->List(context, request, out); });
  if (!response.ok()) return response.status();
  return std::vector<v1::Analysis>(response->analyses().begin(), response->analyses().end());
}

absl::StatusOr<v1::Analysis> Client::GetAnalysis(absl::string_view name) {
  v1::GetAnalysisRequest request;
  request.set_name(std::string(name));
  return session_->Call<v1::Analysis>(
      [&](auto* context, auto* out) { return session_->analyses->Get(context, request, out); });
}

absl::StatusOr<v1::CreateJobResponse> Client::CreateJob(v1::CreateJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(RandomUuid());
  return session_->Call<v1::CreateJobResponse>(
      [&](auto* context, auto* out) { return session_->jobs->Create(context, request, out); });
}

absl::StatusOr<v1::Job> Client::GetJob(absl::string_view id, std::stop_token stop) {
  v1::GetJobRequest request;
  request.set_id(std::string(id));
  return session_->Call<v1::Job>(
      [&](auto* context, auto* out) { return session_->jobs->Get(context, request, out); },
      std::move(stop));
}

absl::StatusOr<std::vector<v1::Job>> Client::ListJobs(v1::ListJobsRequest request,
                                                      int64_t entries_max) {
  request.clear_page_token();
  return session_->Pages<v1::Job, v1::ListJobsRequest, v1::ListJobsResponse>(
      std::move(request), entries_max,
      [&](auto* context, const auto& page, auto* out) {
        return session_->jobs->List(context, page, out);
      },
      &v1::ListJobsResponse::mutable_jobs);
}

absl::StatusOr<v1::Job> Client::CancelJob(absl::string_view id) {
  v1::CancelJobRequest request;
  request.set_id(std::string(id));
  return session_->Call<v1::Job>(
      [&](auto* context, auto* out) { return session_->jobs->Cancel(context, request, out); });
}

absl::StatusOr<v1::Job> Client::RetryJob(absl::string_view id) {
  v1::RetryJobRequest request;
  request.set_id(std::string(id));
  request.set_request_id(RandomUuid());
  return session_->Call<v1::Job>(
      [&](auto* context, auto* out) { return session_->jobs->Retry(context, request, out); });
}

absl::Status Client::DeleteJob(absl::string_view id) {
  v1::DeleteJobRequest request;
  request.set_id(std::string(id));
  return session_
      ->Call<google::protobuf::Empty>(
          [&](auto* context, auto* out) { return session_->jobs->Delete(context, request, out); })
      .status();
}

absl::StatusOr<std::vector<v1::Worker>> Client::ListWorkers() {
  ASSIGN_OR_RETURN(const v1::ListWorkersResponse response,
                   session_->Call<v1::ListWorkersResponse>([&](auto* context, auto* out) {
                     return session_->workers->List(context, v1::ListWorkersRequest(), out);
                   }));
  return std::vector<v1::Worker>(response.workers().begin(), response.workers().end());
}

absl::Status Client::DrainWorker(const v1::DrainRequest& request) {
  return session_
      ->Call<google::protobuf::Empty>(
          [&](auto* context, auto* out) { return session_->workers->Drain(context, request, out); })
      .status();
}

}  // namespace radiograph
