#include "server/rpc/artifacts.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/artifact/resolve.h"
#include "core/base/status_macros.h"
#include "server/rpc/status.h"
#include "server/rpc/struct.h"
#include "server/store/messages.h"
#include "server/store/page.h"

namespace radiograph {
namespace {

absl::Status CheckRequest(const v1::CreateArtifactRequest& request) {
  std::vector<Violation> violations;
  absl::StatusOr<ArtifactRef> ref = ParseArtifactRef(request.name());
  if (!ref.ok()) {
    violations.push_back({"name", std::string(ref.status().message())});
  } else if (ref->version != 0 || !ref->alias.empty()) {
    violations.push_back({"name", "has a version or an alias; the server numbers versions"});
  }
  if (!v1::ArtifactKind_IsValid(request.kind()) ||
      request.kind() == v1::ARTIFACT_KIND_UNSPECIFIED) {
    violations.push_back({"kind", "is missing; MODEL, DATASET and RESULT are allowed"});
  }
  if (request.files_size() == 0 || request.files_size() > kArtifactFilesMax) {
    violations.push_back({"files", absl::StrCat("are ", request.files_size(), "; 1..",
                                                kArtifactFilesMax, " are allowed")});
  }
  if (request.kind() != v1::DATASET && request.roles_size() > 0) {
    violations.push_back({"roles", "belong to a DATASET"});
  }
  CheckLabels(request.labels(), "labels", violations);
  CheckLabels(request.roles(), "roles", violations);
  return violations.empty() ? absl::OkStatus() : ViolationsStatus(violations);
}

absl::Status CheckUploaded(Store& store, const std::string& tenant,
                           const v1::CreateArtifactRequest& request) {
  const absl::Status status = store.database->Read(
      [&](Connection& connection) { return CheckPossession(connection, tenant, request.files()); });
  if (!absl::IsFailedPrecondition(status)) return status;
  return WithReason(status, "BLOBS_MISSING");
}

void SetArchitecture(const ResolvedArtifact& resolved, v1::Artifact& artifact) {
  if (artifact.kind() != v1::MODEL) return;
  *artifact.mutable_architecture() = StructOfJson(resolved.header.architecture.ToJson());
}

}  // namespace

void CheckLabels(const google::protobuf::Map<std::string, std::string>& labels,
                 const std::string& field, std::vector<Violation>& violations) {
  if (labels.size() > kLabelsMax) {
    violations.push_back(
        {field, absl::StrCat("are ", labels.size(), "; at most ", kLabelsMax, " are allowed")});
    return;
  }
  for (const auto& [key, value] : labels) {
    const std::string at = absl::StrCat(field, ".", key.substr(0, kLabelKeyBytesMax));
    if (key.empty() || key.size() > kLabelKeyBytesMax) {
      violations.push_back({at, absl::StrCat("has a key of ", key.size(), " bytes; 1..",
                                             kLabelKeyBytesMax, " are allowed")});
    }
    // The name of a tensor, which a role may hold, is longer than a label.
    const int64_t value_max = field == "roles" ? safetensors::kNameBytesMax : kLabelValueBytesMax;
    if (static_cast<int64_t>(value.size()) > value_max) {
      violations.push_back(
          {at, absl::StrCat("has ", value.size(), " bytes; at most ", value_max, " are allowed")});
    }
  }
}

absl::StatusOr<v1::Artifact> CreateArtifact(Store& store, const std::string& tenant,
                                            const v1::CreateArtifactRequest& request) {
  RETURN_IF_ERROR(CheckRequest(request));
  RETURN_IF_ERROR(CheckUploaded(store, tenant, request));
  RETURN_IF_ERROR(store.blobs->space().CheckSmall());
  v1::Artifact artifact;
  artifact.set_name(request.name());
  artifact.set_kind(request.kind());
  *artifact.mutable_files() = request.files();
  *artifact.mutable_labels() = request.labels();
  *artifact.mutable_roles() = request.roles();
  ASSIGN_OR_RETURN(const ResolvedArtifact resolved, Resolve(*store.blobs, artifact));
  artifact.set_digest(resolved.digest);
  SetArchitecture(resolved, artifact);
  if (!request.validate_only()) {
    ASSIGN_OR_RETURN(artifact, store.catalogue.Create(tenant, std::move(artifact)));
    SetArchitecture(resolved, artifact);  // it may be one of before
  }
  artifact.mutable_notes()->Assign(resolved.notes.begin(), resolved.notes.end());
  return artifact;
}

absl::StatusOr<v1::Artifact> GetArtifact(Store& store, HeaderCache& headers,
                                         const std::string& tenant,
                                         const v1::GetArtifactRequest& request) {
  ASSIGN_OR_RETURN(v1::Artifact artifact, store.catalogue.Get(tenant, request.ref()));
  const auto resolved = headers.Get(artifact);
  if (!resolved.ok()) {
    artifact.add_notes(
        absl::StrCat("Its files can't be read now: ", resolved.status().message(), "."));
    return artifact;
  }
  SetArchitecture(**resolved, artifact);
  artifact.mutable_notes()->Assign((*resolved)->notes.begin(), (*resolved)->notes.end());
  return artifact;
}

absl::StatusOr<v1::ListTensorsResponse> ListTensors(Store& store, HeaderCache& headers,
                                                    const std::string& tenant,
                                                    const v1::ListTensorsRequest& request) {
  ASSIGN_OR_RETURN(const v1::Artifact artifact, store.catalogue.Get(tenant, request.ref()));
  const std::string scope = absl::StrCat("tensors/", artifact.digest());
  ASSIGN_OR_RETURN(const int64_t size, PageSize(request.page_size()));
  ASSIGN_OR_RETURN(const std::optional<PagePosition> after,
                   ParsePageToken(scope, request.page_token()));
  ASSIGN_OR_RETURN(const auto resolved, headers.Get(artifact));
  const auto& tensors = resolved->header.tensors;
  const int64_t count = static_cast<int64_t>(tensors.size());
  const int64_t begin = after ? std::clamp<int64_t>(after->sequence, 0, count) : 0;
  const int64_t end = std::min(count, begin + size);
  v1::ListTensorsResponse response;
  for (int64_t i = begin; i < end; ++i) {
    v1::Tensor* tensor = response.add_tensors();
    tensor->set_name(tensors[i].name);
    tensor->set_dtype(std::string(safetensors::DTypeName(tensors[i])));
    for (const int64_t dimension : tensors[i].shape) tensor->add_shape(dimension);
    tensor->set_file(resolved->file_of.at(tensors[i].name));
    tensor->set_alias_of(tensors[i].same_as);
  }
  if (end < count) response.set_next_page_token(PageToken(scope, {.sequence = end}));
  return response;
}

}  // namespace radiograph
