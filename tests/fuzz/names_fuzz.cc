// names.json.
#include "core/artifact/names.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace radiograph;
  absl::StatusOr<Names> names = ParseNames(Text(data, size));
  if (!names.ok()) return CheckRefusal(names.status()), 0;
  for (const auto* list : {&names->classes, &names->tokens, &names->rows}) {
    for (const std::string& name : *list) {
      FUZZ_CHECK(IsUtf8(name) && static_cast<int64_t>(name.size()) <= kNameTextBytesMax);
    }
  }
  return 0;
}
