#include "core/process/prepare_job.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/architecture/architecture.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

using GivenInputs = std::map<std::string, std::vector<GivenArtifact>>;

std::vector<std::string> InputNames(const Spec& spec) {
  std::vector<std::string> names;
  for (const InputSpec& input : spec.inputs()) names.push_back(input.name);
  return names;
}

void CheckInput(const InputSpec& input, const std::vector<GivenArtifact>& given,
                std::vector<Violation>& violations) {
  const std::string field = absl::StrCat("inputs.", input.name);
  const int64_t count_max = input.options.list ? kArtifactsPerInputMax : 1;
  if (static_cast<int64_t>(given.size()) > count_max) {
    violations.push_back({field, absl::StrCat("has ", given.size(), " artifacts; at most ",
                                              count_max, " may be given")});
    return;
  }
  for (const GivenArtifact& artifact : given) {
    if (artifact.kind == input.kind) continue;
    violations.push_back(
        {field, absl::StrCat(artifact.label, " is a ", ArtifactKindName(artifact.kind),
                             "; this input takes a ", ArtifactKindName(input.kind))});
  }
}

std::vector<Violation> CheckInputs(const Spec& spec, const GivenInputs& given) {
  std::vector<Violation> violations;
  for (const auto& [name, artifacts] : given) {
    if (spec.FindInput(name) != nullptr) continue;
    std::vector<std::string> near = NearestNames(name, InputNames(spec));
    violations.push_back({absl::StrCat("inputs.", name),
                          near.empty() ? absl::StrCat(spec.name(), " takes no inputs")
                                       : absl::StrCat("is no input of ", spec.name(),
                                                      "; nearest: ", absl::StrJoin(near, ", "))});
  }
  for (const InputSpec& input : spec.inputs()) {
    auto found = given.find(input.name);
    if (found != given.end() && !found->second.empty()) {
      CheckInput(input, found->second, violations);
    } else if (!input.options.optional) {
      violations.push_back({absl::StrCat("inputs.", input.name),
                            absl::StrCat("is missing; give it a ", ArtifactKindName(input.kind))});
    }
  }
  return violations;
}

JobInput ToJobInput(const GivenArtifact& artifact) {
  JobInput input{.kind = std::string(ArtifactKindName(artifact.kind)),
                 .digest = artifact.digest,
                 .files = artifact.files,
                 .architecture = artifact.header.architecture,
                 .roles = artifact.header.roles};
  std::sort(input.files.begin(), input.files.end(),
            [](const NamedBlob& a, const NamedBlob& b) { return a.name < b.name; });
  return input;
}

}  // namespace

absl::string_view ArtifactKindName(ArtifactKind kind) {
  switch (kind) {
    case ArtifactKind::kModel:
      return "MODEL";
    case ArtifactKind::kDataset:
      return "DATASET";
    case ArtifactKind::kResult:
      break;
  }
  return "RESULT";
}

absl::StatusOr<PreparedJob> PrepareJob(const Spec& spec, const Json& params, int64_t seed,
                                       const GivenInputs& inputs) {
  std::vector<Violation> violations = CheckInputs(spec, inputs);
  absl::StatusOr<ParamValues> normal = NormalizeParams(spec, params);
  if (!normal.ok()) {
    std::vector<Violation> more = ViolationsOf(normal.status());
    if (more.empty()) return normal.status();
    violations.insert(violations.end(), more.begin(), more.end());
  }
  if (seed < 0 || seed > kSeedMax) {
    violations.push_back({"seed", absl::StrCat("is ", seed, "; 0..", kSeedMax, " is allowed")});
  }
  if (!violations.empty()) return ViolationsStatus(violations);

  PreparedJob job;
  job.request = {.analysis = spec.name(),
                 .version = spec.version(),
                 .params = *std::move(normal),
                 .seed = seed,
                 .inputs = {}};
  Headers headers;
  std::map<std::string, std::vector<std::string>> digests;
  for (const auto& [name, artifacts] : inputs) {
    for (const GivenArtifact& artifact : artifacts) {
      job.request.inputs[name].push_back(ToJobInput(artifact));
      headers.inputs[name].push_back(artifact.header);
      digests[name].push_back(artifact.digest);
    }
  }
  ASSIGN_OR_RETURN(job.plan, spec.MakePlan(job.request.params, headers));
  ASSIGN_OR_RETURN(job.cache_key, CacheKey(spec, job.request.params, digests, seed));
  return job;
}

}  // namespace radiograph
