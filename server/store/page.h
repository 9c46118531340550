// Pages of lists, newest first (AIP-158): tokens are opaque, a page continues below the last row
// seen, so rows that come meanwhile neither shift nor repeat anything.
#ifndef RADIOGRAPH_SERVER_STORE_PAGE_H_
#define RADIOGRAPH_SERVER_STORE_PAGE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

inline constexpr int64_t kPageSizeDefault = 50;
inline constexpr int64_t kPageSizeMax = 1000;
inline constexpr int64_t kPageBytesMax = 2 << 20;  // a page ends early when its rows are this large

// The largest number of rows for `requested`: 0 is the default, too many is the most, below 0 is
// refused.
absl::StatusOr<int64_t> PageSize(int64_t requested);
// `scope` names the list and its filter: a token of another list is refused with INVALID_ARGUMENT.
std::string PageToken(absl::string_view scope, int64_t last);
// The row to continue below; the largest integer for an empty token.
absl::StatusOr<int64_t> ParsePageToken(absl::string_view scope, absl::string_view token);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_PAGE_H_
