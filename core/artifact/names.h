// names.json: text that came with an artifact, for figures and reports. Always escaped, never
// computed with.
#ifndef RADIOGRAPH_CORE_ARTIFACT_NAMES_H_
#define RADIOGRAPH_CORE_ARTIFACT_NAMES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

inline constexpr int64_t kNamesBytesMax = 16 << 20;  // of the file
inline constexpr int64_t kNameTextBytesMax = 1024;   // of one name

struct Names {
  std::vector<std::string> classes, tokens, rows;
};

// {"classes": [...], "tokens": [...], "rows": [...]}, each optional, all strings. INVALID_ARGUMENT
// for anything else.
absl::StatusOr<Names> ParseNames(absl::string_view text);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ARTIFACT_NAMES_H_
