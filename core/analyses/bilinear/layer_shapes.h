// What headers alone tell of one bilinear layer: which tensors it is made of, and whether they fit
// together.
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_LAYER_SHAPES_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_LAYER_SHAPES_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/architecture/roles.h"
#include "core/catalog/headers.h"

namespace radiograph::bilinear {

// What the parameters of every bilinear analysis ask for.
struct LayerRequest {
  int64_t layer = -1;
  std::map<std::string, std::string> tensors = {};  // role -> name
  bool assume_bilinear = false;
};

struct LayerShapes {
  LayerRoles roles = {};
  int64_t inputs = 0;     // n: of E, or d without one
  int64_t width = 0;      // d: what L and R read
  int64_t hidden = 0;     // m: neurons
  int64_t written = 0;    // d_out: what P writes, or m without one
  int64_t outputs = 0;    // C: directions
  bool residual = false;  // the block writes z + g(z), as config.json says: d_out = d
};

// `directions`, where given, holds the tensor "directions" [C, d_out], which replaces the head.
// Returns
//   FAILED_PRECONDITION  a layer with an activation without assume_bilinear; no head and no
//                        directions
//   NOT_FOUND            tensors are missing (nearest names)
//   INVALID_ARGUMENT     shapes that don't fit, with both shapes; a dtype that isn't floating
//                        point; a residual block that does not write what it reads
absl::StatusOr<LayerShapes> ReadLayerShapes(const ArtifactHeader& model,
                                            const ArtifactHeader* directions,
                                            const LayerRequest& request);

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_LAYER_SHAPES_H_
