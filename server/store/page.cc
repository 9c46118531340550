#include "server/store/page.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/digest.h"
#include "core/base/json.h"

namespace radiograph {
namespace {

// Filters may be long, tokens are not.
std::string ScopeDigest(absl::string_view scope) { return Sha256Hex(scope).substr(0, 16); }

}  // namespace

absl::StatusOr<int64_t> PageSize(int64_t requested) {
  if (requested < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "page_size is ", requested, "; 0 (the default) to ", kPageSizeMax, " is allowed"));
  }
  return requested == 0 ? kPageSizeDefault : std::min(requested, kPageSizeMax);
}

absl::StatusOr<ListOrder> ParseOrderBy(absl::string_view order_by,
                                       const std::vector<std::string>& fields) {
  const std::vector<std::string> words =
      absl::StrSplit(order_by, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  if (words.empty()) return ListOrder{};
  const auto field = std::find(fields.begin(), fields.end(), words[0]);
  const bool descending = words.size() == 2 && words[1] == "desc";
  if (field != fields.end() && (words.size() == 1 || descending)) {
    return ListOrder{static_cast<size_t>(field - fields.begin()), descending};
  }
  return absl::InvalidArgumentError(
      absl::StrCat("order_by is ", JsonExcerpt(order_by), "; one of ", absl::StrJoin(fields, ", "),
                   " is allowed, as it is or with desc behind it"));
}

std::string PageToken(absl::string_view scope, PagePosition last) {
  return absl::WebSafeBase64Escape(
      absl::StrCat(last.value, " ", last.sequence, " ", ScopeDigest(scope)));
}

absl::StatusOr<std::optional<PagePosition>> ParsePageToken(absl::string_view scope,
                                                           absl::string_view token) {
  if (token.empty()) return std::nullopt;
  std::string text;
  PagePosition last;
  if (absl::WebSafeBase64Unescape(token, &text)) {
    const std::vector<std::string> parts = absl::StrSplit(text, ' ');
    if (parts.size() == 3 && absl::SimpleAtoi(parts[0], &last.value) &&
        absl::SimpleAtoi(parts[1], &last.sequence) && parts[2] == ScopeDigest(scope)) {
      return last;
    }
  }
  return absl::InvalidArgumentError(
      "page_token is not of this list; repeat the call that gave it with the same filter and order");
}

}  // namespace radiograph
