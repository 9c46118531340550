// From what a user asks to what a compute process gets: the one check that a job can run. The
// server calls it in Jobs.Create, the command line for `run --local`, so that both run the same
// request.
#ifndef RADIOGRAPH_CORE_PROCESS_PREPARE_JOB_H_
#define RADIOGRAPH_CORE_PROCESS_PREPARE_JOB_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/json.h"
#include "core/catalog/cache_key.h"
#include "core/catalog/headers.h"
#include "core/catalog/spec.h"
#include "core/process/job_folder.h"

namespace radiograph {

inline constexpr int64_t kSeedMax = (int64_t{1} << 53) - 1;

// A resolved artifact (core/artifact/resolve.h) that is given to an input.
struct GivenArtifact {
  std::string label;  // for messages: "digits@1", "./model.safetensors"
  ArtifactKind kind = ArtifactKind::kModel;
  std::vector<NamedBlob> files;
  ArtifactHeader header;
  std::string digest;
};

struct PreparedJob {
  JobRequest request;  // files in the order of their names
  Plan plan;
  std::string cache_key;
};

// Violations of "inputs.<name>" (unknown with nearest names, missing, too many, wrong kind),
// "params.<name>" and "seed" come all at once (ViolationsStatus); only then the Plan speaks, with
// its own code.
absl::StatusOr<PreparedJob> PrepareJob(
    const Spec& spec, const Json& params, int64_t seed,
    const std::map<std::string, std::vector<GivenArtifact>>& inputs);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_PROCESS_PREPARE_JOB_H_
