#include "core/process/prepare_job.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

using GivenInputs = std::map<std::string, std::vector<GivenArtifact>>;

std::vector<Violation> CheckInputs(const Spec& spec, const GivenInputs& given) {
  std::map<std::string, int64_t> counts;
  for (const auto& [name, artifacts] : given) counts[name] = static_cast<int64_t>(artifacts.size());
  std::vector<Violation> violations = InputViolations(spec, counts);
  for (const InputSpec& input : spec.inputs()) {
    auto found = given.find(input.name);
    if (found == given.end()) continue;
    for (const GivenArtifact& artifact : found->second) {
      if (artifact.kind == input.kind) continue;
      violations.push_back({absl::StrCat("inputs.", input.name),
                            absl::StrCat("takes a ", Name(input.kind), "; ", artifact.label,
                                         " is a ", Name(artifact.kind))});
    }
  }
  return violations;
}

JobInput ToJobInput(const GivenArtifact& artifact) {
  JobInput input{.kind = Name(artifact.kind),
                 .digest = artifact.digest,
                 .files = artifact.files,
                 .architecture = artifact.header.architecture,
                 .roles = artifact.header.roles};
  std::sort(input.files.begin(), input.files.end(),
            [](const NamedBlob& a, const NamedBlob& b) { return a.name < b.name; });
  return input;
}

}  // namespace

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
  InputIdentities identities;
  for (const auto& [name, artifacts] : inputs) {
    for (const GivenArtifact& artifact : artifacts) {
      job.request.inputs[name].push_back(ToJobInput(artifact));
      headers.inputs[name].push_back(artifact.header);
      InputIdentity& identity = identities[name].emplace_back();
      identity.digest = artifact.digest;
      if (artifact.kind == ArtifactKind::kModel) {
        identity.architecture = artifact.header.architecture;
      }
    }
  }
  ASSIGN_OR_RETURN(job.plan, spec.MakePlan(job.request.params, headers));
  job.request.planned_memory_bytes = job.plan.memory_bytes;
  job.request.memory_help =
      absl::StrCat(job.plan.memory_help.empty() ? "smaller inputs" : job.plan.memory_help,
                   ", or a worker with more memory, would help");
  ASSIGN_OR_RETURN(job.cache_key, CacheKey(spec, job.request.params, identities, seed));
  return job;
}

}  // namespace radiograph
