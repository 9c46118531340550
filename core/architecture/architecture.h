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
  std::map<std::string, int64_t> config =
      {};  // n_layers, d_model, d_hidden, d_input, d_output: where known
  // An activation that config.json declares in the MLP ("silu", ...); empty when none is declared.
  std::string activation = {};
  bool says_not_bilinear = false;  // config.json has "bilinear": false
  bool residual = false;           // config.json declares that a block writes z + g(z)
  // What config.json says of the function and no analysis heeds: `normalization = "rms"`, or that
  // it could not be read. Results warn of it.
  std::vector<std::string> unheeded = {};

  // Keys that hold their default, other than the first three, are left out.
  Json ToJson() const;
  static absl::StatusOr<Architecture> FromJson(const Json& json);
};

struct ResolvedArchitecture {
  Architecture architecture;
  std::vector<std::string> notes;  // sentences: how names were read, what was not understood
};

// `config_json` is the text of config.json, or empty; one that can't be read is told in `unheeded`.
// `missing` are names that the model's index knows and no file holds.
ResolvedArchitecture ResolveArchitecture(absl::Span<const safetensors::TensorInfo> tensors,
                                         absl::string_view config_json,
                                         absl::Span<const std::string> missing = {});

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ARCHITECTURE_ARCHITECTURE_H_
