// Levenshtein distances against the best few so far: a candidate is dropped as soon as it can't be
// among them. Common beginnings and ends change no distance and are cut off first; what remains is
// compared up to kComparedBytes, so that hostile names (200,000 of 1,024 bytes) cost a second at
// most.
#include "core/base/nearest_names.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace radiograph {
namespace {

constexpr size_t kComparedBytes = 64;

// The edit distance of a and b, or something above `limit` once it is sure to be above.
size_t EditDistance(absl::string_view a, absl::string_view b, size_t limit) {
  while (!a.empty() && !b.empty() && a.front() == b.front()) {
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  while (!a.empty() && !b.empty() && a.back() == b.back()) {
    a.remove_suffix(1);
    b.remove_suffix(1);
  }
  size_t length_gap = std::max(a.size(), b.size()) - std::min(a.size(), b.size());
  if (length_gap > limit) return length_gap;
  a = a.substr(0, kComparedBytes);
  b = b.substr(0, kComparedBytes);

  size_t row[kComparedBytes + 1];  // distances of a[0, i) to b[0, j)
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    size_t best = row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
      best = std::min(best, row[j + 1]);
    }
    if (best > limit) return best;
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> NearestNames(absl::string_view name, absl::Span<const std::string> names,
                                      int count) {
  std::set<std::pair<size_t, absl::string_view>> best;  // equally near: alphabetical
  for (const std::string& candidate : names) {
    bool full = static_cast<int>(best.size()) >= count;
    size_t limit = !full          ? std::numeric_limits<size_t>::max()
                   : best.empty() ? 0
                                  : best.rbegin()->first;
    best.emplace(EditDistance(name, candidate, limit), candidate);
    if (static_cast<int>(best.size()) > count) best.erase(std::prev(best.end()));
  }
  std::vector<std::string> nearest;
  for (const auto& [distance, candidate] : best) nearest.emplace_back(candidate);
  return nearest;
}

std::string NearestText(absl::string_view lead, absl::string_view name,
                        absl::Span<const std::string> names, int count) {
  const std::vector<std::string> nearest = NearestNames(name, names, count);
  return nearest.empty() ? "" : absl::StrCat(lead, absl::StrJoin(nearest, ", "));
}

}  // namespace radiograph
