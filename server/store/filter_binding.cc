#include "server/store/filter_binding.h"

#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/nearest_names.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

constexpr int kNearestNames = 5;
constexpr size_t kPathBytesShown = 80;

bool IsMessage(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}
// Not to be compared: bytes that anything can be packed in.
bool IsOpaque(const FieldDescriptor* field) {
  return field->type() == FieldDescriptor::TYPE_BYTES ||
         (IsMessage(field) && field->message_type()->full_name() == "google.protobuf.Any");
}
bool IsTime(const FieldDescriptor* field) {
  return IsMessage(field) && field->message_type()->full_name() == "google.protobuf.Timestamp";
}
bool IsStruct(const Descriptor* type) { return type->full_name() == "google.protobuf.Struct"; }

std::vector<std::string> FieldNames(const Descriptor* type) {
  std::vector<std::string> names;
  for (int i = 0; i < type->field_count(); ++i) {
    if (!IsOpaque(type->field(i))) names.push_back(type->field(i)->name());
  }
  return names;
}

std::string ValueNames(const EnumDescriptor* type) {
  std::vector<std::string> names;
  for (int i = 0; i < type->value_count(); ++i) {
    const std::string& name = type->value(i)->name();
    if (!absl::EndsWith(name, "_UNSPECIFIED")) names.push_back(name);
  }
  return absl::StrJoin(names, ", ");
}

// Reads one comparison from left to right.
class Binder {
 public:
  explicit Binder(const FilterComparison& comparison) : given_(comparison) {}

  absl::StatusOr<FieldComparison> Bind(const Descriptor* type) {
    bound_.op = given_.op == FilterOperator::kNotEqual ? FilterOperator::kEqual : given_.op;
    bound_.is_there = given_.op == FilterOperator::kHas && given_.value.IsStar();
    RETURN_IF_ERROR(BindPath(type));
    if (one_of_several_ && given_.op != FilterOperator::kHas) {
      return Refuse(absl::StrCat("names several; ", Path(), ":VALUE asks whether one is VALUE"));
    }
    if (!bound_.is_there) RETURN_IF_ERROR(BindValue());
    return std::move(bound_);
  }

 private:
  absl::Status BindPath(const Descriptor* type) {
    for (size_t i = 0; i < given_.path.size(); ++i) {
      if (type == nullptr) return Refuse(absl::StrCat("goes too far: ", Path(i), " has no fields"));
      if (IsStruct(type)) {
        TakeKey(given_.path[i], bound_.steps.emplace_back());
        continue;
      }
      leaf_ = type->FindFieldByName(given_.path[i].text);
      if (leaf_ == nullptr || IsOpaque(leaf_)) {
        return NoSuchField(type, given_.path[i].text, given_.position, Path(i));
      }
      FilterStep& step = bound_.steps.emplace_back();
      step.field = leaf_;
      if (leaf_->is_map()) {
        needs_key_ = ++i == given_.path.size();
        step.any_key = needs_key_;
        if (!needs_key_) TakeKey(given_.path[i], step);
        leaf_ = leaf_->message_type()->map_value();
      } else if (leaf_->is_repeated()) {
        one_of_several_ = true;
      }
      type = IsMessage(leaf_) && !IsTime(leaf_) ? leaf_->message_type() : nullptr;
    }
    in_struct_ = bound_.steps.back().field == nullptr;
    if (type != nullptr && IsStruct(type) && !in_struct_) needs_key_ = true;
    message_ = type;
    return absl::OkStatus();
  }

  absl::Status BindValue() {
    if (needs_key_) return BindKey();
    if (in_struct_) {
      bound_.text = given_.value.text;
      return absl::OkStatus();
    }
    if (message_ != nullptr) {
      if (given_.op == FilterOperator::kHas && !leaf_->is_repeated()) return BindField();
      return Refuse(absl::StrCat("is no single value; ", Path(),
                                 ":* asks whether it is there, and it has ",
                                 absl::StrJoin(FieldNames(message_), ", ")));
    }
    if (IsTime(leaf_)) return BindTime();
    switch (leaf_->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return BindText();
      case FieldDescriptor::CPPTYPE_INT32:
      case FieldDescriptor::CPPTYPE_INT64:
        if (absl::SimpleAtoi(given_.value.text, &bound_.integer)) return absl::OkStatus();
        return RefuseValue("is no whole number");
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (absl::SimpleAtod(given_.value.text, &bound_.number) && std::isfinite(bound_.number)) {
          return absl::OkStatus();
        }
        return RefuseValue("is no number");
      case FieldDescriptor::CPPTYPE_BOOL:
        RETURN_IF_ERROR(RequireEquality("true, false"));
        bound_.integer = given_.value.text == "true";
        if (bound_.integer != 0 || given_.value.text == "false") return absl::OkStatus();
        return RefuseValue("is neither true nor false");
      case FieldDescriptor::CPPTYPE_ENUM:
        return BindEnum(leaf_->enum_type());
      default:
        return Refuse("can't be compared");
    }
  }

  // `map:key` asks for the key.
  absl::Status BindKey() {
    if (given_.op != FilterOperator::kHas) {
      return Refuse(
          absl::StrCat("has keys; ", Path(), ".KEY = VALUE or ", Path(), ":KEY is meant"));
    }
    bound_.is_there = true;
    const FilterName key{given_.value.text, given_.value.quoted};
    const bool is_map = bound_.steps.back().field->is_map();
    TakeKey(key, is_map ? bound_.steps.back() : bound_.steps.emplace_back());
    return absl::OkStatus();
  }

  // `message:field` asks for the field.
  absl::Status BindField() {
    const FieldDescriptor* field = message_->FindFieldByName(given_.value.text);
    if (field == nullptr || IsOpaque(field)) {
      return NoSuchField(message_, given_.value.text, given_.value.position, Path());
    }
    bound_.is_there = true;
    FilterStep& step = bound_.steps.emplace_back();
    step.field = field;
    step.any_key = field->is_map();
    return absl::OkStatus();
  }

  absl::Status BindText() {
    absl::string_view text = given_.value.text;
    std::vector<size_t> stars = given_.value.stars;
    if (bound_.IsEquality()) {
      if (!stars.empty() && stars.back() + 1 == text.size()) {
        bound_.any_after = true;
        text.remove_suffix(1);
        stars.pop_back();
      }
      if (!stars.empty() && stars.front() == 0) {
        bound_.any_before = true;
        text.remove_prefix(1);
        stars.erase(stars.begin());
      }
      if (!stars.empty()) {
        return RefuseValue("has a * in the middle; one may begin and end a value, \"\\*\" is a star");
      }
    }
    bound_.text = std::string(text);
    return absl::OkStatus();
  }

  absl::Status BindTime() {
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full, given_.value.text, &bound_.time, &error) ||
        bound_.time == absl::InfinitePast() || bound_.time == absl::InfiniteFuture()) {
      return RefuseValue("is no time; \"2026-01-31T12:00:00Z\" is one (RFC 3339)");
    }
    // As fine as times in messages are.
    bound_.time = absl::UnixEpoch() +
                  absl::Floor(bound_.time - absl::UnixEpoch(), absl::Nanoseconds(1));
    return absl::OkStatus();
  }

  absl::Status BindEnum(const EnumDescriptor* type) {
    RETURN_IF_ERROR(RequireEquality(ValueNames(type)));
    const auto* value = type->FindValueByName(given_.value.text);
    if (value == nullptr) return RefuseValue(absl::StrCat("is none of ", ValueNames(type)));
    bound_.integer = value->number();
    return absl::OkStatus();
  }

  absl::Status RequireEquality(absl::string_view values) const {
    if (bound_.IsEquality()) return absl::OkStatus();
    return Refuse(
        absl::StrCat("is one of ", values, ", which have no order; compare it with =, != or :"));
  }

  void TakeKey(const FilterName& name, FilterStep& step) {
    step.any_key = name.text == "*" && !name.quoted;
    if (step.any_key) one_of_several_ = true;
    if (!step.any_key) step.key = name.text;
  }

  static absl::Status NoSuchField(const Descriptor* type, const std::string& name, size_t position,
                                  const std::string& owner) {
    return FilterError(
        position, absl::StrCat(JsonExcerpt(name), " is no field",
                               owner.empty() ? "" : absl::StrCat(" of ", owner),
                               NearestText("; nearest: ", name, FieldNames(type), kNearestNames)));
  }
  absl::Status Refuse(absl::string_view why) const {
    return FilterError(given_.position, absl::StrCat(Path(), " ", why));
  }
  absl::Status RefuseValue(absl::string_view why) const {
    return FilterError(given_.value.position,
                       absl::StrCat(Path(), " is compared with ", JsonExcerpt(given_.value.text),
                                    ", which ", why));
  }
  std::string Path() const { return Path(given_.path.size()); }
  // The first parts of the path, for a message.
  std::string Path(size_t parts) const {
    const auto begin = given_.path.begin();
    const std::string path =
        absl::StrJoin(begin, begin + static_cast<ptrdiff_t>(parts), ".",
                      [](std::string* to, const FilterName& name) { to->append(name.text); });
    return path.size() <= kPathBytesShown ? path : JsonExcerpt(path, kPathBytesShown);
  }

  const FilterComparison& given_;
  FieldComparison bound_;
  const FieldDescriptor* leaf_ = nullptr;  // what is compared, but in a struct
  const Descriptor* message_ = nullptr;    // the path ends at one of these
  bool one_of_several_ = false;            // the path leads through a list or any key
  bool needs_key_ = false;                 // the path ends at a map or a struct
  bool in_struct_ = false;
};

}  // namespace

absl::StatusOr<FieldComparison> BindComparison(const FilterComparison& comparison,
                                               const Descriptor* type) {
  return Binder(comparison).Bind(type);
}

}  // namespace radiograph
