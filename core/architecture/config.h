// What config.json says of the function that a model computes. Tensors show names and shapes; only
// config.json tells whether a block adds its input to its output, normalises or has an activation.
#ifndef RADIOGRAPH_CORE_ARCHITECTURE_CONFIG_H_
#define RADIOGRAPH_CORE_ARCHITECTURE_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

inline constexpr int64_t kConfigBytesMax = 16 << 20;
inline constexpr size_t kUnheededMax = 16;  // keys that are named; more are counted

struct Config {
  std::string activation;           // in lower case; empty: none is declared
  bool says_not_bilinear = false;   // "bilinear": false
  bool residual = false;            // a block writes z + g(z)
  std::optional<bool> bias;         // as declared
  std::optional<int64_t> n_layers;  // as declared
  // Keys with their values that are neither read nor known to leave the function of a trained model
  // as it is: `normalization = "rms"`. Those that are switched off (false, null, 0, "none", empty)
  // are left out, as are scales of 1.
  std::vector<std::string> unheeded;
};

// Keys are read wherever they stand in the document, also below others ("model": {"residual":
// true}), in any case and with - for _. NaN and infinities are read as Python writes them.
// INVALID_ARGUMENT when the text isn't a JSON object of at most kConfigBytesMax.
absl::StatusOr<Config> ReadConfig(absl::string_view text);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ARCHITECTURE_CONFIG_H_
