// A result as files: result.json, arrays.safetensors, figures/*.json, run.json. The result digest
// covers all but run.json; the same result gives the same bytes.
#ifndef RADIOGRAPH_CORE_RESULTS_BUNDLE_H_
#define RADIOGRAPH_CORE_RESULTS_BUNDLE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/results/result.h"

namespace radiograph {

// Into an existing, empty folder. INTERNAL, naming it, when a metric that the Spec names is
// missing, an array's bytes don't fit its shape, or a NaN stands where none is allowed: an
// analysis' bug never becomes a result.
absl::Status WriteBundle(const std::string& folder, const Spec& spec,
                         const ResultIdentity& identity, const Result& result, const RunInfo& run);

// The relative names of a bundle's files, sorted: "arrays.safetensors", "figures/x.json", ...
absl::StatusOr<std::vector<std::string>> BundleFiles(const std::string& folder);

struct BundleFile {
  std::string name;
  std::string sha256;
};
// SHA-256 of the canonical JSON of [[name, sha256], ...] sorted by name, run.json left out.
absl::StatusOr<std::string> ResultDigest(std::vector<BundleFile> files);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_RESULTS_BUNDLE_H_
