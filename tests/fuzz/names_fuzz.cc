// names.json.
#include "core/artifact/names.h"
#include "tests/fuzz/fuzz.h"

namespace radiograph {

void Fuzz(absl::string_view bytes) {
  absl::StatusOr<Names> names = ParseNames(bytes);
  if (!names.ok()) return CheckRefusal(names.status());
  for (const auto* list : {&names->classes, &names->tokens, &names->rows}) {
    for (const std::string& name : *list) {
      FUZZ_CHECK(IsUtf8(name) && static_cast<int64_t>(name.size()) <= kNameTextBytesMax);
    }
  }
}

}  // namespace radiograph
