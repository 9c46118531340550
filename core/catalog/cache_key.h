// The two digests that decide whether work is identical. The algorithm is public: test vectors
// stand in tests/data/cache_key_vectors.json, for other languages to read.
#ifndef RADIOGRAPH_CORE_CATALOG_CACHE_KEY_H_
#define RADIOGRAPH_CORE_CATALOG_CACHE_KEY_H_

#include <map>
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

// SHA-256 of the canonical JSON of {"architecture": ..., "files": [[name, sha256], ...] sorted by
// name}. `roles` of a DATASET stand beside them as "roles" when there are any. Names, times, labels
// and aliases of artifacts are not in it.
absl::StatusOr<std::string> InputDigest(std::vector<NamedBlob> files,
                                        const Architecture& architecture,
                                        const std::map<std::string, std::string>& roles);

// SHA-256 of the canonical JSON of {"analysis", "inputs": {name: [digest, ...]}, "params", "seed",
// "version"}. Parameters have their defaults filled in.
absl::StatusOr<std::string> CacheKey(const Spec& spec, const ParamValues& params,
                                     const std::map<std::string, std::vector<std::string>>& inputs,
                                     int64_t seed);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_CATALOG_CACHE_KEY_H_
