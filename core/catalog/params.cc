#include "core/catalog/params.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/nearest_names.h"
#include "core/catalog/spec.h"

namespace radiograph {
namespace {

constexpr size_t kShownBytes = 40;
constexpr double kIntMax = 9007199254740991;  // 2^53 - 1

std::string ShownText(absl::string_view text) {
  return IsUtf8(text) ? JsonExcerpt(text, kShownBytes) : "a string that is not UTF-8";
}

std::string Shown(const Json& value) {
  switch (value.type()) {
    case Json::value_t::string:
      return ShownText(value.get_ref<const std::string&>());
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::number_float:
      if (std::isnan(value.get<double>())) return "NaN";
      if (std::isinf(value.get<double>())) return "infinite";
      return JsonNumber(value.get<double>());
    default:
      return value.dump();
  }
}

std::string Allowed(const ParamRange& range, double limit) {
  double min = std::max(range.min, -limit), max = std::min(range.max, limit);
  if (std::isinf(min) && std::isinf(max)) return "any number is allowed";
  if (std::isinf(max)) return absl::StrCat("at least ", JsonNumber(min), " is allowed");
  if (std::isinf(min)) return absl::StrCat("at most ", JsonNumber(max), " is allowed");
  return absl::StrCat(JsonNumber(min), "..", JsonNumber(max), " is allowed");
}

// Checks one value; what is wrong goes to `violations`, with the place.
class Checker {
 public:
  Checker(const ParamSpec& param, std::vector<Violation>* violations)
      : param_(param), violations_(violations) {}

  std::optional<ParamValue> Check(const Json& value) {
    std::string field = absl::StrCat("params.", param_.name);
    switch (param_.kind) {
      case ParamKind::kBool:
        if (!value.is_boolean()) return Wrong(field, value, "true or false");
        return value.get<bool>();
      case ParamKind::kInt:
        return Int(field, value);
      case ParamKind::kNumber:
        return Number(field, value);
      case ParamKind::kEnum:
        return Enum(field, value);
      case ParamKind::kString:
        return String(field, value, param_.range.count_max);
      case ParamKind::kInts:
        return List<int64_t>(field, value,
                             [&](const auto& at, const Json& item) { return Int(at, item); });
      case ParamKind::kNumbers:
        return List<double>(field, value,
                            [&](const auto& at, const Json& item) { return Number(at, item); });
      case ParamKind::kStrings:
        return List<std::string>(field, value, [&](const auto& at, const Json& item) {
          return String(at, item, kElementBytesMax);
        });
      case ParamKind::kMap:
        return Map(field, value);
    }
    return std::nullopt;
  }

 private:
  std::nullopt_t Violate(absl::string_view field, std::string description) {
    violations_->push_back({std::string(field), std::move(description)});
    return std::nullopt;
  }
  std::nullopt_t Wrong(absl::string_view field, const Json& value, absl::string_view wanted) {
    return Violate(field, absl::StrCat("is ", Shown(value), "; ", wanted, " is expected"));
  }

  std::optional<double> Number(absl::string_view field, const Json& value) {
    return InRange(field, value, "a number", std::numeric_limits<double>::infinity());
  }

  std::optional<int64_t> Int(absl::string_view field, const Json& value) {
    if (value.is_number() && std::trunc(value.get<double>()) != value.get<double>()) {
      return Wrong(field, value, "an integer");
    }
    std::optional<double> number = InRange(field, value, "an integer", kIntMax);
    if (!number.has_value()) return std::nullopt;
    return static_cast<int64_t>(*number);
  }

  std::optional<double> InRange(absl::string_view field, const Json& value,
                                absl::string_view wanted, double limit) {
    if (!value.is_number()) return Wrong(field, value, wanted);
    double number = value.get<double>();
    if (!std::isfinite(number)) return Wrong(field, value, "a finite number");
    if (number < param_.range.min || number > param_.range.max || std::abs(number) > limit) {
      return Violate(field, absl::StrCat("is ", Shown(value), "; ", Allowed(param_.range, limit)));
    }
    return number + 0.0;  // -0 is 0: both have one canonical text
  }

  std::optional<std::string> String(absl::string_view field, const Json& value, int64_t bytes_max) {
    if (!value.is_string()) return Wrong(field, value, "a string");
    const std::string& text = value.get_ref<const std::string&>();
    if (!IsUtf8(text)) return Wrong(field, value, "UTF-8");
    if (static_cast<int64_t>(text.size()) > bytes_max) {
      return Violate(
          field, absl::StrCat("has ", text.size(), " bytes; at most ", bytes_max, " are allowed"));
    }
    return text;
  }

  std::optional<std::string> Enum(absl::string_view field, const Json& value) {
    if (value.is_string()) {
      for (const std::string& allowed : param_.values) {
        if (allowed == value.get_ref<const std::string&>()) return allowed;
      }
    }
    return Wrong(field, value, absl::StrCat("one of ", absl::StrJoin(param_.values, ", ")));
  }

  bool CountAllowed(absl::string_view field, const Json& value) {
    if (static_cast<int64_t>(value.size()) <= param_.range.count_max) return true;
    Violate(field, absl::StrCat("has ", value.size(), " entries; at most ", param_.range.count_max,
                                " are allowed"));
    return false;
  }

  template <typename T, typename CheckItem>
  std::optional<std::vector<T>> List(absl::string_view field, const Json& value,
                                     const CheckItem& check) {
    if (!value.is_array()) return Wrong(field, value, "a list");
    if (!CountAllowed(field, value)) return std::nullopt;
    std::vector<T> list;
    for (size_t i = 0; i < value.size(); ++i) {
      std::optional<T> item = check(absl::StrCat(field, "[", i, "]"), value[i]);
      if (!item.has_value()) return std::nullopt;  // one violation a list is enough
      list.push_back(*std::move(item));
    }
    return list;
  }

  std::optional<std::map<std::string, std::string>> Map(absl::string_view field,
                                                        const Json& value) {
    if (!value.is_object()) return Wrong(field, value, "an object of strings");
    if (!CountAllowed(field, value)) return std::nullopt;
    std::map<std::string, std::string> map;
    for (const auto& [key, item] : value.items()) {
      std::string at = absl::StrCat(field, "[", ShownText(key), "]");
      if (!String(at, Json(key), kElementBytesMax).has_value()) return std::nullopt;
      std::optional<std::string> text = String(at, item, kElementBytesMax);
      if (!text.has_value()) return std::nullopt;
      map[key] = *std::move(text);
    }
    return map;
  }

  const ParamSpec& param_;
  std::vector<Violation>* violations_;
};

Violation UnknownParam(const Spec& spec, const std::string& name) {
  std::vector<std::string> names;
  for (const ParamSpec& param : spec.params()) names.push_back(param.name);
  std::vector<std::string> nearest = NearestNames(name.substr(0, 1024), names);
  return {IsUtf8(name) && name.size() <= kShownBytes
              ? absl::StrCat("params.", name)
              : absl::StrCat("params[", ShownText(name), "]"),
          absl::StrCat("is not a parameter of ", spec.name(),
                       nearest.empty()
                           ? "; it has none"
                           : absl::StrCat("; the nearest are ", absl::StrJoin(nearest, ", ")))};
}

}  // namespace

absl::StatusOr<ParamValues> NormalizeParams(const Spec& spec, const Json& given) {
  std::vector<Violation> violations;
  if (!given.is_object() && !given.is_null()) {
    return ViolationsStatus(
        {{"params", absl::StrCat("is ", Shown(given), "; an object is expected")}});
  }
  for (const auto& item : given.items()) {
    if (spec.FindParam(item.key()) == nullptr) violations.push_back(UnknownParam(spec, item.key()));
  }
  ParamValues values;
  for (const ParamSpec& param : spec.params()) {
    auto value = given.find(param.name);
    if (value == given.end() || value->is_null()) {
      values[param.name] = param.default_value;
    } else if (std::optional<ParamValue> checked = Checker(param, &violations).Check(*value)) {
      values[param.name] = *std::move(checked);
    }
  }
  if (!violations.empty()) return ViolationsStatus(violations);
  return values;
}

Json ToJson(const ParamValue& value) {
  return std::visit(
      [](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>)
          return Json();
        else
          return Json(held);
      },
      value);
}

Json ToJson(const ParamValues& values) {
  Json json = Json::object();
  for (const auto& [name, value] : values) json[name] = ToJson(value);
  return json;
}

}  // namespace radiograph
