// Pages of lists (AIP-158): tokens are opaque, a page continues behind the last row seen, so rows
// that come or go meanwhile neither shift nor repeat anything.
#ifndef RADIOGRAPH_SERVER_STORE_PAGE_H_
#define RADIOGRAPH_SERVER_STORE_PAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

inline constexpr int64_t kPageSizeDefault = 50;
inline constexpr int64_t kPageSizeMax = 1000;
inline constexpr int64_t kPageBytesMax = 2 << 20;  // a page ends early when its rows are this large

// The largest number of rows for `requested`: 0 is the default, too many is the most, below 0 is
// refused.
absl::StatusOr<int64_t> PageSize(int64_t requested);

// AIP-132.
struct ListOrder {
  size_t field = 0;  // which of the fields
  bool descending = true;
};
// One of the fields, with or without `desc`; empty: the first with it. INVALID_ARGUMENT for
// anything else.
absl::StatusOr<ListOrder> ParseOrderBy(absl::string_view order_by,
                                       const std::vector<std::string>& fields);

// The last row that was looked at: by what the list is ordered, and the row's number. A list by
// number alone leaves `value` at 0.
struct PagePosition {
  int64_t value = 0;
  int64_t sequence = 0;
};
// `scope` names the list, its tenant, filter and order: a token of another list is refused with
// INVALID_ARGUMENT.
std::string PageToken(absl::string_view scope, PagePosition last);
// Where to continue; nothing for an empty token.
absl::StatusOr<std::optional<PagePosition>> ParsePageToken(absl::string_view scope,
                                                           absl::string_view token);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_PAGE_H_
