// Artifacts and a context for tests of analyses.
#ifndef RADIOGRAPH_TESTS_SUPPORT_ARTIFACTS_H_
#define RADIOGRAPH_TESTS_SUPPORT_ARTIFACTS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "core/analyses/analysis.h"

namespace radiograph::testing {

// An artifact of these tensors, by way of a safetensors file. Fails the test when it can't be made.
Artifact ArtifactOf(const std::map<std::string, at::Tensor>& tensors,
                    absl::string_view config_json = "");
// An artifact of one committed file.
Artifact ArtifactFrom(const std::string& path);

// Runs an analysis as radiograph-compute does: parameters from JSON text, Plan, then the run.
struct RunOptions {
  uint64_t seed = 0;
  int64_t cancel_after = -1;  // calls of Progress; -1: never
  at::Device device = at::kCPU;
  std::map<std::string, Bundle>* kept = nullptr;  // by key: what every Save keeps; null: nothing
  int64_t abort_after_saves = -1;                 // the next is ABORTED; -1: none is
};
absl::StatusOr<Result> RunAnalysis(absl::string_view name, absl::string_view params,
                                   const std::map<std::string, Artifact>& inputs,
                                   RunOptions options = {});

// Parts of a result. A missing one fails the test.
at::Tensor ArrayOf(const Result& result, absl::string_view name);
const Metric& MetricOf(const Result& result, absl::string_view name);
const Finding* FindingOf(const Result& result, absl::string_view code);  // null when there is none

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_TESTS_SUPPORT_ARTIFACTS_H_
