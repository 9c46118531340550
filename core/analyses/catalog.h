// All analyses that this build knows, by name. Without LibTorch: the server and the clients link
// it.
#ifndef RADIOGRAPH_CORE_ANALYSES_CATALOG_H_
#define RADIOGRAPH_CORE_ANALYSES_CATALOG_H_

#include <vector>

#include "absl/status/statusor.h"
#include "core/catalog/spec.h"

namespace radiograph {

// Alphabetical.
const std::vector<Spec>& Catalog();

// NOT_FOUND with the nearest names.
absl::StatusOr<const Spec*> FindSpec(absl::string_view name);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ANALYSES_CATALOG_H_
