// What a set of tensors is: its family, its configuration, and which tensor plays which role. The
// server alone decides this, from names and shapes, when a MODEL is created; no client says so.
#ifndef RADIOGRAPH_CORE_ARCHITECTURE_ARCHITECTURE_H_
#define RADIOGRAPH_CORE_ARCHITECTURE_ARCHITECTURE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/json.h"
#include "core/base/nearest_names.h"
#include "core/safetensors/header.h"

namespace radiograph {

// Which tensors of a model an analysis finds by which role. Families:
//   "bilinear"  blocks of L and R with embed and head (image models, language models, own names)
//   "gated"     gate_proj/up_proj/down_proj blocks (SwiGLU and its like)
//   "unknown"   none of the tables fits; analyses may still accept explicit `tensors`
struct Architecture {
  std::string family = "unknown";
  std::map<std::string, int64_t>
      config;  // n_layers, d_model, d_hidden, d_input, d_output: where known
  // An activation that config.json declares in the MLP ("silu", ...); empty when none is declared.
  std::string activation;

  // Part of the input digest: {"activation", "config", "family"}.
  Json ToJson() const;
  static absl::StatusOr<Architecture> FromJson(const Json& json);
};

// `config_json` is the text of config.json, or empty. INVALID_ARGUMENT when it isn't a JSON object.
absl::StatusOr<Architecture> ResolveArchitecture(absl::Span<const safetensors::TensorInfo> tensors,
                                                 absl::string_view config_json);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ARCHITECTURE_ARCHITECTURE_H_
