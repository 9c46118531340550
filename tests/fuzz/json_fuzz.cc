// What is read can be written, and what was written in canonical form stays as it is.
#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace radiograph;
  absl::string_view text = Text(data, size);
  if (IsUtf8(text)) FUZZ_CHECK(IsUtf8(JsonExcerpt(text, 8)));
  absl::StatusOr<Json> value = ParseJson(text);
  if (!value.ok()) return CheckRefusal(value.status()), 0;
  FUZZ_CHECK(IsUtf8(text));
  absl::StatusOr<std::string> canonical = CanonicalJson(*value);
  if (!canonical.ok()) return CheckRefusal(canonical.status()), 0;  // 2^53 + 1
  absl::StatusOr<Json> again = ParseJson(*canonical);
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(*CanonicalJson(*again) == *canonical);
  return 0;
}
