#include "core/process/keeper.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/json.h"

namespace radiograph {

absl::Status CheckKeptName(absl::string_view key, absl::string_view memo) {
  if (key.empty() == memo.empty()) {
    return absl::InvalidArgumentError("a key or a memo is needed, and not both");
  }
  if (key.empty() && IsSha256(memo)) return absl::OkStatus();
  if (key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("memo is ", JsonExcerpt(memo), "; it must be a SHA-256 in hexadecimal"));
  }
  auto allowed = [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-'; };
  if (key.size() <= kKeptKeyBytesMax && std::all_of(key.begin(), key.end(), allowed)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "key is ", JsonExcerpt(key), "; 1..", kKeptKeyBytesMax, " of [A-Za-z0-9_.-] are allowed"));
}

}  // namespace radiograph
