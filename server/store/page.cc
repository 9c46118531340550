#include "server/store/page.h"

#include <algorithm>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace radiograph {

absl::StatusOr<int64_t> PageSize(int64_t requested) {
  if (requested < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "page_size is ", requested, "; 0 (the default) to ", kPageSizeMax, " is allowed"));
  }
  return requested == 0 ? kPageSizeDefault : std::min(requested, kPageSizeMax);
}

std::string PageToken(absl::string_view scope, int64_t last) {
  return absl::WebSafeBase64Escape(absl::StrCat(last, " ", scope));
}

absl::StatusOr<int64_t> ParsePageToken(absl::string_view scope, absl::string_view token) {
  if (token.empty()) return std::numeric_limits<int64_t>::max();
  std::string text;
  int64_t last;
  if (absl::WebSafeBase64Unescape(token, &text)) {
    absl::string_view number = text;
    if (absl::ConsumeSuffix(&number, absl::StrCat(" ", scope)) && absl::SimpleAtoi(number, &last)) {
      return last;
    }
  }
  return absl::InvalidArgumentError(
      "page_token is not of this list; repeat the call that gave it with the same filter");
}

}  // namespace radiograph
