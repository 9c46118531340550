// The two digests that decide whether work is identical. The algorithm is public: test vectors
// stand in tests/data/cache_key_vectors.json, for other languages to read.
#ifndef RADIOGRAPH_CORE_CATALOG_CACHE_KEY_H_
#define RADIOGRAPH_CORE_CATALOG_CACHE_KEY_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/architecture/architecture.h"
#include "core/catalog/params.h"
#include "core/catalog/spec.h"

namespace radiograph {

struct NamedBlob {
  std::string name;    // relative name inside the artifact, "model.safetensors"
  std::string sha256;  // of its bytes
};

// SHA-256 of the canonical JSON of {"files": [[name, sha256], ...] sorted by name}. `roles` of a
// DATASET stand beside them as "roles" when there are any. Names, times, labels and aliases of
// artifacts are not in it, nor how a MODEL is read: its digest stays when Radiograph learns to read
// its kind.
absl::StatusOr<std::string> InputDigest(std::vector<NamedBlob> files,
                                        const std::map<std::string, std::string>& roles);

// What one artifact given to an input brings into a cache key.
struct InputIdentity {
  std::string digest;                        // InputDigest
  std::optional<Architecture> architecture;  // of a MODEL: how it is read today
};
using InputIdentities = std::map<std::string, std::vector<InputIdentity>>;

// SHA-256 of the canonical JSON of {"analysis", "inputs": {name: [{"architecture", "digest"},
// ...]}, "params", "seed", "version"}. Parameters have their defaults filled in; only a MODEL has
// an "architecture".
absl::StatusOr<std::string> CacheKey(const Spec& spec, const ParamValues& params,
                                     const InputIdentities& inputs, int64_t seed);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_CATALOG_CACHE_KEY_H_
