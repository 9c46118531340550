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
  int64_t layer = 0;  // the number in its tensors' names
  // Numbers of all bilinear layers, ascending: there may be gaps. Empty when only overrides name
  // the layer.
  std::vector<int64_t> layers;
  // That the names of the model's tensors have before those of the table: "_orig_mod.module.".
  std::string prefix;
  std::vector<std::string> unread;  // tensors that play no role in any layer, by name
  bool gated = false;  // the names are those of an MLP with a gate function (gate_proj, up_proj)
};

// `layer` is the number in the names, -1 is the last. `overrides` (role -> tensor name, with or
// without the prefix) win over every table. The embedding belongs to the first block only, other
// layers read what the one before them wrote. A prefix such as wrappers leave is passed over.
// `missing` are names that the model's index knows and no file holds.
// NOT_FOUND with the nearest names, or naming the missing tensor; INVALID_ARGUMENT for an unknown
// role or a layer the model lacks; FAILED_PRECONDITION when several prefixes have layers.
absl::StatusOr<LayerRoles> FindLayerRoles(absl::Span<const safetensors::TensorInfo> tensors,
                                          int64_t layer,
                                          const std::map<std::string, std::string>& overrides,
                                          absl::Span<const std::string> missing = {});

// The model's lowest bilinear layer.
absl::StatusOr<LayerRoles> FindFirstLayerRoles(absl::Span<const safetensors::TensorInfo> tensors,
                                               absl::Span<const std::string> missing = {});

// "0, 2, 3"; of many the first and the last.
std::string LayersText(const std::vector<int64_t>& layers);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ARCHITECTURE_ROLES_H_
