// The filter language of lists, AIP-160, as a tree. What the names in it mean is not known here.
//
//   state = RUNNING AND (labels.team = "core" OR labels.team = "web")
//   create_time > "2026-01-31T12:00:00Z" -analysis:bilinear.*
//
// By the published grammar: terms side by side and AND mean both; OR binds tighter than AND
// (`a AND b OR c` is `a AND (b OR c)`); NOT and - stand before one term. Comparisons are = != < <=
// > >= and : (has). Names are joined by dots, a part may be quoted (labels."my key"). A value may
// be quoted with " or ', where \ takes the next character as it is; without quotes it ends at a
// space, a parenthesis, a comma, a quote or one of = < > !. `name = (a OR b)` compares with each.
// Not supported, and refused: a value alone, functions, (...) after !=.
#ifndef RADIOGRAPH_CORE_BASE_FILTER_H_
#define RADIOGRAPH_CORE_BASE_FILTER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

inline constexpr size_t kFilterBytesMax = 4096;
inline constexpr int kFilterDepthMax = 16;  // of parentheses
inline constexpr int kFilterComparisonsMax = 64;

enum class FilterOperator { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kHas };

struct FilterName {
  std::string text;
  bool quoted = false;
};

// Positions are bytes from the filter's begin, from 0.
struct FilterValue {
  std::string text;           // without quotes and backslashes
  std::vector<size_t> stars;  // where in it a * stands that had no backslash
  bool quoted = false;
  size_t position = 0;

  bool IsStar() const { return text == "*" && stars.size() == 1 && !quoted; }
};

struct FilterComparison {
  std::vector<FilterName> path;  // "labels", "team"
  FilterOperator op = FilterOperator::kEqual;
  FilterValue value;
  size_t position = 0;
};

struct FilterNode {
  enum class Kind { kAnd, kOr, kNot, kComparison };
  Kind kind = Kind::kAnd;
  std::vector<FilterNode> operands;  // of kNot: one. kAnd without any holds always.
  FilterComparison comparison;
};

// An empty text holds always. INVALID_ARGUMENT says where, what stands there and what would be
// right.
absl::StatusOr<FilterNode> ParseFilter(absl::string_view text);

// "filter, at 9: ...", with the position as people count.
absl::Status FilterError(size_t position, absl::string_view what);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_FILTER_H_
