#include "server/rpc/job_output.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "server/rpc/header_cache.h"

namespace radiograph {
namespace {

constexpr absl::string_view kPrefix = "job:";
constexpr char kResult[] = "result";
constexpr char kArraysFile[] = "arrays.safetensors";
constexpr char kRunFile[] = "run.json";  // not covered by the result's digest

// Of the files of a finished job those that hold the output.
void AddFiles(const v1::Job& job, bool whole, v1::Artifact& artifact) {
  for (const v1::ArtifactFile& file : job.result()) {
    if (whole ? file.name() != kRunFile : file.name() == kArraysFile) {
      *artifact.add_files() = file;
      artifact.set_size(artifact.size() + file.blob().size());
    }
  }
}

absl::Status NoSuchOutput(const v1::Job& job, const std::string& output,
                          const ArtifactHeader& arrays) {
  std::vector<std::string> names = {kResult};
  for (const safetensors::TensorInfo& tensor : arrays.tensors) names.push_back(tensor.name);
  return absl::NotFoundError(absl::StrCat("job ", job.id(), " has no output ", JsonExcerpt(output),
                                          "; it has ", absl::StrJoin(names, ", ")));
}

// Gives the array the role that the input knows.
absl::Status SetRole(const std::string& array, const InputSpec& input, v1::Artifact& artifact) {
  const std::vector<std::string>& roles = input.options.roles;
  if (roles.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(artifact.name(), " is one array; ", input.name,
                                                   " takes several: ", absl::StrJoin(roles, ", ")));
  }
  if (!roles.empty()) (*artifact.mutable_roles())[roles[0]] = array;
  return absl::OkStatus();
}

}  // namespace

bool IsJobOutput(absl::string_view ref) { return absl::StartsWith(ref, kPrefix); }

absl::StatusOr<v1::Artifact> JobOutput(Store& store, const JobOutputRef& given,
                                       const InputSpec* input) {
  const std::string& ref = given.ref;
  absl::string_view rest = absl::StripPrefix(ref, kPrefix);
  const size_t slash = rest.find('/');
  if (slash == 0 || slash == rest.npos || slash + 1 == rest.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(JsonExcerpt(ref), " is no output of a job; job:ID/OUTPUT is"));
  }
  const std::string output(rest.substr(slash + 1));
  ASSIGN_OR_RETURN(const JobRow row,
                   store.jobs.Get({given.tenant, std::string(rest.substr(0, slash))}));
  if (row.job.state() != v1::SUCCEEDED) {
    return absl::FailedPreconditionError(absl::StrCat("job ", row.job.id(), " is ",
                                                      v1::JobState_Name(row.job.state()),
                                                      "; only SUCCEEDED has outputs"));
  }
  v1::Artifact artifact;
  artifact.set_name(ref);
  *artifact.mutable_create_time() = row.job.end_time();
  const bool whole = output == kResult;
  artifact.set_kind(whole ? v1::RESULT : v1::DATASET);
  AddFiles(row.job, whole, artifact);
  ASSIGN_OR_RETURN(ResolvedArtifact resolved, Resolve(*store.blobs, artifact));
  if (!whole) {
    if (resolved.header.Find(output) == nullptr) {
      return NoSuchOutput(row.job, output, resolved.header);
    }
    if (input != nullptr) RETURN_IF_ERROR(SetRole(output, *input, artifact));
    ASSIGN_OR_RETURN(resolved, Resolve(*store.blobs, artifact));
  }
  artifact.set_digest(resolved.digest);
  return artifact;
}

}  // namespace radiograph
