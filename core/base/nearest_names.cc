#include "core/base/nearest_names.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace radiograph {
namespace {

// Levenshtein's distance.
int64_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int64_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    int64_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> NearestNames(absl::string_view name, absl::Span<const std::string> names,
                                      int count) {
  std::vector<std::pair<int64_t, std::string>> nearest;  // best first
  for (const std::string& other : names) {
    const auto shortest =
        std::abs(static_cast<int64_t>(name.size()) - static_cast<int64_t>(other.size()));
    const bool full = nearest.size() == static_cast<size_t>(count);
    if (full && (nearest.empty() || shortest > nearest.back().first))
      continue;  // can't be among them
    std::pair<int64_t, std::string> candidate(EditDistance(name, other), other);
    nearest.insert(std::upper_bound(nearest.begin(), nearest.end(), candidate),
                   std::move(candidate));
    if (full) nearest.pop_back();
  }
  std::vector<std::string> result;
  for (auto& [distance, other] : nearest) result.push_back(std::move(other));
  return result;
}

}  // namespace radiograph
