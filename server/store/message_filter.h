// A filter of AIP-160 (core/base/filter.h) over the fields of a message: every field by its name,
// through messages, maps and structs.
//
// - Strings: = and != take a * at either end as "anything"; < and > are by bytes.
// - Enums by name and booleans: = != : only. Times: RFC 3339. Numbers as they are.
// - `a:b` is `a = b`, and through lists and maps "one of them is": labels:team has the key,
//   attempts.outcome:LOST has such an attempt, a key * is any (inputs.*.artifacts.digest:ab).
//   Through a list only : is allowed.
// - `a:*` holds when a is there: a key of a map, an entry of a list, a value that is not the
//   default. `a:b` of a message or struct asks for its field b.
// - What is not there (a key, a time, a message) equals nothing, is neither below nor above.
// - `a != b` is `NOT a = b`.
#ifndef RADIOGRAPH_SERVER_STORE_MESSAGE_FILTER_H_
#define RADIOGRAPH_SERVER_STORE_MESSAGE_FILTER_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/filter.h"

namespace radiograph {

// A field on the way to the one that is compared; of a map with the key. Of a struct the key alone.
struct FilterStep {
  const google::protobuf::FieldDescriptor* field = nullptr;
  std::string key;
  bool any_key = false;
};

// A comparison whose names and value are known to fit.
struct FieldComparison {
  std::vector<FilterStep> steps;               // at least one
  FilterOperator op = FilterOperator::kEqual;  // never kNotEqual
  bool is_there = false;                       // `:*`
  std::string text;  // of strings: what stands between the wildcards; of structs: all
  bool any_before = false, any_after = false;  // the wildcards of a string
  int64_t integer = 0;                         // of enums and booleans too
  double number = 0;
  absl::Time time;

  bool IsEquality() const {
    return !is_there && (op == FilterOperator::kEqual || op == FilterOperator::kHas);
  }
};

class MessageFilter {
 public:
  struct Node {
    FilterNode::Kind kind = FilterNode::Kind::kAnd;
    std::vector<Node> operands;
    FieldComparison comparison;
  };

  // INVALID_ARGUMENT says where, what stands there and what would be right, the nearest names among
  // it.
  static absl::StatusOr<MessageFilter> Parse(absl::string_view text,
                                             const google::protobuf::Descriptor* type);

  // `message` is of the type.
  bool Matches(const google::protobuf::Message& message) const;

  const Node& root() const { return root_; }

 private:
  explicit MessageFilter(Node root) : root_(std::move(root)) {}
  Node root_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_MESSAGE_FILTER_H_
