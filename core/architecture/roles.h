// Which tensors of a model make up one bilinear layer, and under which names models keep them.
#ifndef RADIOGRAPH_CORE_ARCHITECTURE_ROLES_H_
#define RADIOGRAPH_CORE_ARCHITECTURE_ROLES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/safetensors/header.h"

namespace radiograph {

// Tensor names by role. g(z) = P((L z + b) * (R z + c)) + b_P with z = E x; logits = U g(z) + b_U.
//   "left" [m, d], "right" [m, d], or "fused" [2 m, d] with L in its first m rows;
//   "left_bias", "right_bias" [m], or "fused_bias" [2 m];  "proj" P [d_out, m], "proj_bias"
//   [d_out]; "embed" E [d, n];  "head" U [C, d_out], "head_bias" [C].
// Only left and right, or fused, are always there.
using RoleNames = std::map<std::string, std::string>;

struct LayerRoles {
  RoleNames names;
  int64_t layer = 0;     // from 0
  int64_t n_layers = 0;  // that the model's names show; 0 when only overrides name the layer
  std::vector<std::string> unread;  // tensors that play no role in any layer, by name
  bool gated = false;  // the names are those of an MLP with a gate function (gate_proj, up_proj)
};

// `layer` counts from 0, -1 is the last. `overrides` (role -> tensor name) win over every table.
// The embedding belongs to the first layer only, other layers read what the one before them wrote.
// NOT_FOUND with the nearest names; INVALID_ARGUMENT for an unknown role or a layer the model
// lacks.
absl::StatusOr<LayerRoles> FindLayerRoles(absl::Span<const safetensors::TensorInfo> tensors,
                                          int64_t layer,
                                          const std::map<std::string, std::string>& overrides);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ARCHITECTURE_ROLES_H_
