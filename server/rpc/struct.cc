#include "server/rpc/struct.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/catalog/params.h"

namespace radiograph {
namespace {

constexpr double kIntegerMax = 9007199254740991;  // 2^53 - 1

class Walk {
 public:
  Json Object(const google::protobuf::Struct& given, const std::string& path, int depth) {
    Json object = Json::object();
    for (const auto& [key, value] : given.fields()) {
      text_bytes_ += key.size();
      object[key] = Value(value, absl::StrCat(path, ".", key), depth);
    }
    return object;
  }
  const std::vector<Violation>& violations() const { return violations_; }

 private:
  Json Value(const google::protobuf::Value& given, const std::string& path, int depth) {
    if (!WithinLimits(path, depth)) return nullptr;
    switch (given.kind_case()) {
      case google::protobuf::Value::kNullValue:
        return nullptr;
      case google::protobuf::Value::kBoolValue:
        return given.bool_value();
      case google::protobuf::Value::kNumberValue:
        return Number(given.number_value(), path);
      case google::protobuf::Value::kStringValue:
        text_bytes_ += given.string_value().size();
        return given.string_value();
      case google::protobuf::Value::kStructValue:
        return Object(given.struct_value(), path, depth + 1);
      case google::protobuf::Value::kListValue:
        return List(given.list_value(), path, depth + 1);
      case google::protobuf::Value::KIND_NOT_SET:
        break;
    }
    Refuse(path, "is a Value without kind; null is null_value");
    return nullptr;
  }

  Json List(const google::protobuf::ListValue& given, const std::string& path, int depth) {
    Json list = Json::array();
    for (const google::protobuf::Value& value : given.values()) {
      list.push_back(Value(value, absl::StrCat(path, "[", list.size(), "]"), depth));
      if (full_) break;
    }
    return list;
  }

  Json Number(double number, const std::string& path) {
    if (!std::isfinite(number)) {
      Refuse(path, absl::StrCat("is ", number, "; finite numbers are allowed"));
      return nullptr;
    }
    if (std::trunc(number) == number && std::abs(number) <= kIntegerMax) {
      return static_cast<int64_t>(number);
    }
    return number;
  }

  bool WithinLimits(const std::string& path, int depth) {
    if (full_) return false;
    if (depth > kStructDepthMax) {
      Refuse(path, absl::StrCat("is nested deeper than ", kStructDepthMax));
      return false;
    }
    full_ = ++values_ > kStructValuesMax || text_bytes_ > kStructTextBytesMax;
    if (full_) {
      Refuse(path, absl::StrCat("and what is before it exceed ", kStructValuesMax, " values or ",
                                kStructTextBytesMax, " bytes of text"));
    }
    return !full_;
  }

  void Refuse(const std::string& path, std::string description) {
    if (violations_.size() < kViolationsMax) violations_.push_back({path, std::move(description)});
  }

  std::vector<Violation> violations_;
  int values_ = 0;
  int64_t text_bytes_ = 0;
  bool full_ = false;
};

}  // namespace

absl::StatusOr<Json> JsonOfStruct(const google::protobuf::Struct& given, absl::string_view field) {
  Walk walk;
  Json json = walk.Object(given, std::string(field), 1);
  if (!walk.violations().empty()) return ViolationsStatus(walk.violations());
  return json;
}

google::protobuf::Value ValueOfJson(const Json& json) {
  google::protobuf::Value value;
  if (json.is_boolean()) {
    value.set_bool_value(json.get<bool>());
  } else if (json.is_number()) {
    value.set_number_value(json.get<double>());
  } else if (json.is_string()) {
    value.set_string_value(json.get<std::string>());
  } else if (json.is_array()) {
    value.mutable_list_value();
    for (const Json& element : json) {
      *value.mutable_list_value()->add_values() = ValueOfJson(element);
    }
  } else if (json.is_object()) {
    *value.mutable_struct_value() = StructOfJson(json);
  } else {
    value.set_null_value(google::protobuf::NULL_VALUE);
  }
  return value;
}

google::protobuf::Struct StructOfJson(const Json& json) {
  google::protobuf::Struct result;
  for (const auto& [key, value] : json.items()) {
    (*result.mutable_fields())[key] = ValueOfJson(value);
  }
  return result;
}

}  // namespace radiograph
