// Filters of lists as text. What their names mean, message_filter_test.cc shows with filters made of these.
#include "core/base/filter.h"

#include <algorithm>

#include "tests/fuzz/fuzz.h"

namespace radiograph {
namespace {

// The depth of a node; its comparisons are added to `count`.
int Measure(const FilterNode& node, int& count) {
  const bool comparison = node.kind == FilterNode::Kind::kComparison;
  FUZZ_CHECK(comparison ? node.operands.empty() && !node.comparison.path.empty()
                        : node.kind != FilterNode::Kind::kNot || node.operands.size() == 1);
  if (comparison) {
    ++count;
    const FilterValue& value = node.comparison.value;
    for (const size_t star : value.stars) FUZZ_CHECK(value.text.at(star) == '*');
  }
  int depth = 0;
  for (const FilterNode& operand : node.operands) depth = std::max(depth, Measure(operand, count));
  return depth + 1;
}

}  // namespace

void Fuzz(absl::string_view bytes) {
  const absl::StatusOr<FilterNode> filter = ParseFilter(bytes);
  if (!filter.ok()) return CheckRefusal(filter.status());
  FUZZ_CHECK(bytes.size() <= kFilterBytesMax);
  int comparisons = 0;
  // In each parenthesis there is an "and" of "or" of "not".
  FUZZ_CHECK(Measure(*filter, comparisons) <= 3 * (kFilterDepthMax + 1) + 1);
  FUZZ_CHECK(comparisons <= kFilterComparisonsMax);
  if (bytes.size() + 2 > kFilterBytesMax || comparisons == 0) return;
  // In parentheses it is the same, where one more is allowed.
  const absl::StatusOr<FilterNode> again = ParseFilter("(" + std::string(bytes) + ")");
  if (!again.ok()) return CheckRefusal(again.status());
  int same = 0;
  Measure(*again, same);
  FUZZ_CHECK(again->kind == filter->kind && same == comparisons);
}

}  // namespace radiograph
