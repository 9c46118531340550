#include "server/rpc/create_job.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/analyses/catalog.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/process/prepare_job.h"
#include "server/rpc/artifacts.h"
#include "server/rpc/job_output.h"
#include "server/rpc/struct.h"

namespace radiograph {
namespace {

constexpr size_t kRequestIdBytesMax = 64;
constexpr int64_t kTimestampSecondsMax = 253'402'300'799;  // the end of the year 9999

void CheckSchedule(const v1::CreateJobRequest& request, std::vector<Violation>& violations) {
  if (!v1::JobPriority_IsValid(request.priority())) {
    violations.push_back({"priority", "is unknown; NORMAL, HIGH and LOW are allowed"});
  }
  if (request.max_attempts() < 0 || request.max_attempts() > kMaxAttemptsMax) {
    violations.push_back(
        {"max_attempts", absl::StrCat("is ", request.max_attempts(), "; 1..", kMaxAttemptsMax,
                                      " is allowed, and 0 for ", kMaxAttemptsDefault)});
  }
  if (request.has_timeout() && (request.timeout().seconds() < 0 || request.timeout().nanos() < 0 ||
                                request.timeout().seconds() > kJobTimeoutSecondsMax)) {
    violations.push_back({"timeout", absl::StrCat("is ", request.timeout().seconds(), " s; 0..",
                                                  kJobTimeoutSecondsMax, " is allowed")});
  }
  if (request.not_before().seconds() < 0 || request.not_before().seconds() > kTimestampSecondsMax) {
    violations.push_back({"not_before", "is no time of the years 1970 to 9999"});
  }
}

absl::Status CheckRequest(const v1::CreateJobRequest& request) {
  std::vector<Violation> violations;
  CheckLabels(request.labels(), "labels", violations);
  if (request.request_id().size() > kRequestIdBytesMax) {
    violations.push_back({"request_id", absl::StrCat("has ", request.request_id().size(),
                                                     " bytes; a UUID is meant")});
  }
  if (!v1::CacheMode_IsValid(request.cache())) {
    violations.push_back({"cache", "is unknown; USE, REFRESH and BYPASS are allowed"});
  }
  const std::string& device = request.device_kind();
  if (!device.empty() && device != "cpu" && device != "cuda") {
    violations.push_back({"device_kind", absl::StrCat("is ", JsonString(device.substr(0, 64)),
                                                      "; cpu, cuda or nothing is allowed")});
  }
  CheckSchedule(request, violations);
  return violations.empty() ? absl::OkStatus() : ViolationsStatus(violations);
}

// Messages about an artifact that an input names say which input.
absl::Status ForInput(const absl::Status& status, absl::string_view input) {
  return absl::Status(status.code(), absl::StrCat("inputs.", input, ": ", status.message()));
}

absl::StatusOr<v1::Artifact> Pin(Store& store, const std::string& tenant, const InputSpec* input,
                                 const std::string& ref) {
  return IsJobOutput(ref) ? JobOutput(store, {tenant, ref}, input)
                          : store.catalogue.Get(tenant, ref);
}

absl::StatusOr<GivenArtifact> Give(HeaderCache& headers, const v1::Artifact& artifact) {
  ASSIGN_OR_RETURN(const auto resolved, headers.Get(artifact));
  // An output of a job has no version.
  const std::string version = artifact.version() == 0 ? "" : absl::StrCat("@", artifact.version());
  GivenArtifact given{.label = artifact.name() + version,
                      .kind = KindOf(artifact.kind()),
                      .files = {},
                      .header = resolved->header,
                      .digest = artifact.digest()};
  for (const v1::ArtifactFile& file : artifact.files()) {
    given.files.push_back({file.name(), file.blob().sha256()});
  }
  return given;
}

absl::Status PinInputs(const Spec& spec, Store& store, HeaderCache& headers,
                       const v1::CreateJobRequest& request, v1::Job& job,
                       std::map<std::string, std::vector<GivenArtifact>>& given) {
  int64_t count = 0;
  for (const auto& [name, refs] : request.inputs()) {
    count += refs.refs_size();
    if (count > kJobArtifactsMax) {
      return ViolationsStatus(
          {{absl::StrCat("inputs.", name),
            absl::StrCat("and others name more than ", kJobArtifactsMax, " artifacts")}});
    }
    for (const std::string& ref : refs.refs()) {
      absl::StatusOr<v1::Artifact> artifact = Pin(store, job.tenant(), spec.FindInput(name), ref);
      if (!artifact.ok()) return ForInput(artifact.status(), name);
      absl::StatusOr<GivenArtifact> header = Give(headers, *artifact);
      if (!header.ok()) return ForInput(header.status(), name);
      given[name].push_back(*std::move(header));
      artifact->clear_aliases();  // they move; what is pinned stays
      *(*job.mutable_inputs())[name].add_artifacts() = *std::move(artifact);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ResolvedJob> ResolveJob(const Spec& spec, Store& store, HeaderCache& headers,
                                       const std::string& tenant,
                                       const v1::CreateJobRequest& request) {
  RETURN_IF_ERROR(CheckRequest(request));
  ResolvedJob resolved;
  v1::Job& job = resolved.job;
  std::map<std::string, std::vector<GivenArtifact>> given;
  job.set_tenant(tenant);
  RETURN_IF_ERROR(PinInputs(spec, store, headers, request, job, given));
  ASSIGN_OR_RETURN(const Json params, JsonOfStruct(request.params(), "params"));
  ASSIGN_OR_RETURN(PreparedJob prepared, PrepareJob(spec, params, request.seed(), given));
  job.set_analysis(spec.name());
  job.set_analysis_version(spec.version());
  *job.mutable_params() = StructOfJson(ToJson(prepared.request.params));
  job.set_seed(request.seed());
  job.set_cache_key(prepared.cache_key);
  if (static_cast<int64_t>(job.ByteSizeLong()) > kJobRecordBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("inputs and params take ", job.ByteSizeLong(),
                                                   " bytes in the job's record; ",
                                                   kJobRecordBytesMax, " are allowed"));
  }
  resolved.request = prepared.request.ToJsonText();
  resolved.planned_memory_bytes = prepared.plan.memory_bytes;
  resolved.planned_seconds = prepared.plan.seconds;
  resolved.notes = std::move(prepared.plan.notes);
  return resolved;
}

absl::StatusOr<v1::CreateJobResponse> CreateJob(Store& store, HeaderCache& headers, Jobs& jobs,
                                                const std::string& tenant,
                                                const v1::CreateJobRequest& request) {
  if (!request.request_id().empty() && !request.validate_only()) {
    ASSIGN_OR_RETURN(std::optional<v1::CreateJobResponse> earlier,
                     jobs.FindRepeated(tenant, request));
    if (earlier.has_value()) return *std::move(earlier);
  }
  ASSIGN_OR_RETURN(const Spec* spec, FindSpec(request.analysis()));
  ASSIGN_OR_RETURN(ResolvedJob resolved, ResolveJob(*spec, store, headers, tenant, request));
  return jobs.Create(request, std::move(resolved));
}

}  // namespace radiograph
