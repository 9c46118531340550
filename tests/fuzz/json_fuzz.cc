// What is read can be written, and what was written in canonical form stays as it is. What is read
// strictly is read the same where Python's literals are allowed.
#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz.h"

namespace radiograph {

void Fuzz(absl::string_view bytes) {
  if (IsUtf8(bytes)) FUZZ_CHECK(IsUtf8(JsonExcerpt(bytes, 8)));
  absl::StatusOr<Json> value = ParseJson(bytes);
  const absl::StatusOr<Json> foreign = ParseJson(bytes, {.python_literals = true});
  if (!foreign.ok()) CheckRefusal(foreign.status());
  if (value.ok()) FUZZ_CHECK(foreign.ok() && *foreign == *value);
  if (!value.ok()) return CheckRefusal(value.status());
  FUZZ_CHECK(IsUtf8(bytes));
  absl::StatusOr<std::string> canonical = CanonicalJson(*value);
  if (!canonical.ok()) return CheckRefusal(canonical.status());  // 2^53 + 1
  absl::StatusOr<Json> again = ParseJson(*canonical);
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(*CanonicalJson(*again) == *canonical);
}

}  // namespace radiograph
