// The names that a mistyped one may have meant.
#ifndef RADIOGRAPH_CORE_BASE_NEAREST_NAMES_H_
#define RADIOGRAPH_CORE_BASE_NEAREST_NAMES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace radiograph {

// The names nearest to `name` by edit distance, best first, at most `count`.
std::vector<std::string> NearestNames(absl::string_view name, absl::Span<const std::string> names,
                                      int count = 5);
// The same as a part of a message: `lead` ("; nearest: "), then the names. Empty when there are
// none.
std::string NearestText(absl::string_view lead, absl::string_view name,
                        absl::Span<const std::string> names, int count = 5);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_NEAREST_NAMES_H_
