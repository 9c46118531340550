// JSON as we accept and write it.
//
// Reading is strict: valid UTF-8, one value, no duplicate keys, no comments, a depth and a size
// with a limit. A byte order mark before the value is dropped. Writing for digests and results is
// RFC 8785 (JSON Canonicalization Scheme): keys sorted by UTF-16 code units, numbers as ECMAScript
// prints them (1, not 1.0; 1e-7, not 1e-07), no spaces. Sources include <nlohmann/json.hpp>
// themselves; headers need only this one.
#ifndef RADIOGRAPH_CORE_BASE_JSON_H_
#define RADIOGRAPH_CORE_BASE_JSON_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

using Json = nlohmann::json;

struct JsonLimits {
  int64_t bytes_max = 16 << 20;
  int64_t depth_max = 64;
  // For files of other programs: NaN, Infinity and -Infinity, which Python's json writes, are read
  // as null. Positions in messages then count after each NaN has become the longer null.
  bool python_literals = false;
};

// INVALID_ARGUMENT with the position for anything that isn't one JSON value as described above.
absl::StatusOr<Json> ParseJson(absl::string_view text, JsonLimits limits = {});

// RFC 8785. INVALID_ARGUMENT for NaN and infinities (there is no such JSON), and for integers
// beyond 2^53 that a double doesn't hold. Canonical text stays as it is when it is read and written
// again.
absl::StatusOr<std::string> CanonicalJson(const Json& value);

// A finite number as ECMAScript's Number::toString prints it; NaN and infinities as "null".
std::string JsonNumber(double value);
// A quoted, escaped string; `text` is UTF-8.
std::string JsonString(absl::string_view text);
// A quoted beginning of `text` (UTF-8) for messages: foreign text must not fill a message.
std::string JsonExcerpt(absl::string_view text, size_t bytes_max = 80);
bool IsUtf8(absl::string_view text);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_JSON_H_
