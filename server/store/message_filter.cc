#include "server/store/message_filter.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "core/base/status_macros.h"
#include "server/store/filter_binding.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::Struct;
using google::protobuf::Timestamp;
using google::protobuf::Value;
using Kind = FilterNode::Kind;

constexpr int kNoIndex = -1;  // the field is no list

template <typename T>
bool Compare(const T& a, FilterOperator op, const T& b) {
  switch (op) {
    case FilterOperator::kLess:
      return a < b;
    case FilterOperator::kLessEqual:
      return a <= b;
    case FilterOperator::kGreater:
      return a > b;
    case FilterOperator::kGreaterEqual:
      return a >= b;
    default:
      return a == b;
  }
}

bool CompareText(const std::string& text, const FieldComparison& c) {
  if (c.any_before && c.any_after) return absl::StrContains(text, c.text);
  if (c.any_before) return absl::EndsWith(text, c.text);
  if (c.any_after) return absl::StartsWith(text, c.text);
  return Compare(text, c.op, c.text);
}

// A scalar of the message; `index` of a list's element.
bool CompareScalar(const Message& message, const FieldDescriptor* field, int index,
                   const FieldComparison& c) {
  const Reflection& fields = *message.GetReflection();
  auto get = [&](auto plain, auto repeated) {
    return index == kNoIndex ? (fields.*plain)(message, field)
                             : (fields.*repeated)(message, field, index);
  };
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return CompareText(get(&Reflection::GetString, &Reflection::GetRepeatedString), c);
    case FieldDescriptor::CPPTYPE_INT32:
      return Compare<int64_t>(get(&Reflection::GetInt32, &Reflection::GetRepeatedInt32), c.op,
                              c.integer);
    case FieldDescriptor::CPPTYPE_INT64:
      return Compare(get(&Reflection::GetInt64, &Reflection::GetRepeatedInt64), c.op, c.integer);
    case FieldDescriptor::CPPTYPE_BOOL:
      return get(&Reflection::GetBool, &Reflection::GetRepeatedBool) == (c.integer != 0);
    case FieldDescriptor::CPPTYPE_ENUM:
      return get(&Reflection::GetEnumValue, &Reflection::GetRepeatedEnumValue) == c.integer;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Compare(get(&Reflection::GetDouble, &Reflection::GetRepeatedDouble), c.op, c.number);
    default:
      return false;  // the binding refuses it
  }
}

bool StructMatches(const Struct& fields, const FieldComparison& c, size_t step);

// `step` is the next one to go.
bool ValueMatches(const Value& value, const FieldComparison& c, size_t step) {
  const bool last = step == c.steps.size();
  if (last && c.is_there) return true;
  switch (value.kind_case()) {
    case Value::kStructValue:
      return last ? c.op == FilterOperator::kHas && value.struct_value().fields().contains(c.text)
                  : StructMatches(value.struct_value(), c, step);
    case Value::kListValue:
      return c.op == FilterOperator::kHas &&
             std::any_of(value.list_value().values().begin(), value.list_value().values().end(),
                         [&](const Value& element) { return ValueMatches(element, c, step); });
    case Value::kNumberValue: {
      double number;
      return last && absl::SimpleAtod(c.text, &number) &&
             Compare(value.number_value(), c.op, number);
    }
    case Value::kStringValue:
      return last && Compare(value.string_value(), c.op, c.text);
    case Value::kBoolValue:
      return last && c.IsEquality() && c.text == (value.bool_value() ? "true" : "false");
    default:
      return last && c.IsEquality() && c.text == "null";
  }
}

bool StructMatches(const Struct& fields, const FieldComparison& c, size_t step) {
  const FilterStep& at = c.steps[step];
  if (!at.any_key) {
    const auto found = fields.fields().find(at.key);
    return found != fields.fields().end() && ValueMatches(found->second, c, step + 1);
  }
  return std::any_of(fields.fields().begin(), fields.fields().end(),
                     [&](const auto& field) { return ValueMatches(field.second, c, step + 1); });
}

bool FieldMatches(const Message& message, const FieldComparison& c, size_t step);

// What `step` led to: a message on the way, or the last one.
bool SubmessageMatches(const Message& message, const FieldComparison& c, size_t step) {
  if (step + 1 < c.steps.size()) {
    if (c.steps[step + 1].field != nullptr) return FieldMatches(message, c, step + 1);
    return StructMatches(static_cast<const Struct&>(message), c, step + 1);
  }
  return c.is_there || Compare(FromTimestamp(static_cast<const Timestamp&>(message)), c.op, c.time);
}

bool EntryMatches(const Message& entry, const FieldComparison& c, size_t step) {
  const FilterStep& at = c.steps[step];
  const FieldDescriptor* key = entry.GetDescriptor()->map_key();
  const FieldDescriptor* value = entry.GetDescriptor()->map_value();
  if (!at.any_key && entry.GetReflection()->GetString(entry, key) != at.key) return false;
  if (value->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return SubmessageMatches(entry.GetReflection()->GetMessage(entry, value), c, step);
  }
  return c.is_there || CompareScalar(entry, value, kNoIndex, c);
}

bool FieldMatches(const Message& message, const FieldComparison& c, size_t step) {
  const FieldDescriptor* field = c.steps[step].field;
  const Reflection& fields = *message.GetReflection();
  const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (!field->is_repeated()) {
    if (is_message) {
      return fields.HasField(message, field) &&
             SubmessageMatches(fields.GetMessage(message, field), c, step);
    }
    return c.is_there ? fields.HasField(message, field)
                      : CompareScalar(message, field, kNoIndex, c);
  }
  for (int i = 0; i < fields.FieldSize(message, field); ++i) {
    const bool matches =
        field->is_map() ? EntryMatches(fields.GetRepeatedMessage(message, field, i), c, step)
        : is_message    ? SubmessageMatches(fields.GetRepeatedMessage(message, field, i), c, step)
                        : c.is_there || CompareScalar(message, field, i, c);
    if (matches) return true;
  }
  return false;
}

bool NodeMatches(const MessageFilter::Node& node, const Message& message) {
  auto matches = [&](const MessageFilter::Node& operand) { return NodeMatches(operand, message); };
  switch (node.kind) {
    case Kind::kAnd:
      return std::all_of(node.operands.begin(), node.operands.end(), matches);
    case Kind::kOr:
      return std::any_of(node.operands.begin(), node.operands.end(), matches);
    case Kind::kNot:
      return !matches(node.operands[0]);
    case Kind::kComparison:
      return FieldMatches(message, node.comparison, 0);
  }
  return false;
}

absl::StatusOr<MessageFilter::Node> Bind(const FilterNode& node,
                                         const google::protobuf::Descriptor* type) {
  MessageFilter::Node bound;
  bound.kind = node.kind;
  if (node.kind == Kind::kComparison) {
    ASSIGN_OR_RETURN(bound.comparison, BindComparison(node.comparison, type));
    if (node.comparison.op != FilterOperator::kNotEqual) return bound;
    MessageFilter::Node negated;
    negated.kind = Kind::kNot;
    negated.operands.push_back(std::move(bound));
    return negated;
  }
  for (const FilterNode& operand : node.operands) {
    ASSIGN_OR_RETURN(bound.operands.emplace_back(), Bind(operand, type));
  }
  return bound;
}

}  // namespace

absl::StatusOr<MessageFilter> MessageFilter::Parse(absl::string_view text,
                                                   const google::protobuf::Descriptor* type) {
  ASSIGN_OR_RETURN(const FilterNode parsed, ParseFilter(text));
  ASSIGN_OR_RETURN(Node root, Bind(parsed, type));
  return MessageFilter(std::move(root));
}

bool MessageFilter::Matches(const Message& message) const { return NodeMatches(root_, message); }

}  // namespace radiograph
