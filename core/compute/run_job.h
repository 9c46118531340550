// One job, from its folder to its result in the folder.
#ifndef RADIOGRAPH_CORE_COMPUTE_RUN_JOB_H_
#define RADIOGRAPH_CORE_COMPUTE_RUN_JOB_H_

#include <ATen/core/Tensor.h>

#include <stop_token>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "core/analyses/analysis.h"
#include "core/compute/kept_bundles.h"
#include "core/process/frames.h"

namespace radiograph {

// At most this often is progress told; a new phase is told at once.
inline constexpr absl::Duration kProgressInterval = absl::Milliseconds(100);

struct ComputeEnvironment {
  absl::Span<const Analysis> analyses;
  at::Device device = at::kCPU;
  Engine engine;
  SavePace save_pace = {};
};

// Reads job.json and maps the blobs of `folder` (process/job_folder.h), runs the analysis and
// writes the bundle to <folder>/out. Digests are the agent's to check. `say` gets progress, `ask`
// (empty: nothing is kept) the questions. The frame's status is the analysis' own, or
// FAILED_PRECONDITION when this build has no such analysis of that version.
DoneFrame RunJob(const ComputeEnvironment& environment, const std::string& folder,
                 absl::FunctionRef<void(const Progress&)> say, std::stop_token stop, AskAgent ask);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_COMPUTE_RUN_JOB_H_
