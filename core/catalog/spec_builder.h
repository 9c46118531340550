// The builder of a Spec: see spec.h for how it is used. Only *_spec.cc files and the two lists of
// analyses include this. What is the same for all parameter structs is in spec.cc.
#ifndef RADIOGRAPH_CORE_CATALOG_SPEC_BUILDER_H_
#define RADIOGRAPH_CORE_CATALOG_SPEC_BUILDER_H_

#include <any>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/catalog/spec.h"

namespace radiograph {

namespace spec_internal {

template <typename T>
struct Unwrap {
  using Type = T;
  static constexpr bool kOptional = false;
};
template <typename T>
struct Unwrap<std::optional<T>> {
  using Type = T;
  static constexpr bool kOptional = true;
};
template <typename T>
using Unwrapped = typename Unwrap<T>::Type;

template <typename T>
constexpr ParamKind KindOf() {
  if constexpr (std::is_same_v<T, bool>)
    return ParamKind::kBool;
  else if constexpr (std::is_same_v<T, int64_t>)
    return ParamKind::kInt;
  else if constexpr (std::is_same_v<T, double>)
    return ParamKind::kNumber;
  else if constexpr (std::is_same_v<T, std::string>)
    return ParamKind::kString;
  else if constexpr (std::is_same_v<T, std::vector<int64_t>>)
    return ParamKind::kInts;
  else if constexpr (std::is_same_v<T, std::vector<double>>)
    return ParamKind::kNumbers;
  else if constexpr (std::is_same_v<T, std::vector<std::string>>)
    return ParamKind::kStrings;
  else {
    static_assert(std::is_same_v<T, std::map<std::string, std::string>>,
                  "not a type of a parameter");
    return ParamKind::kMap;
  }
}

}  // namespace spec_internal

template <typename P>
class SpecOf : public Spec {
 public:
  SpecOf(std::string name, int64_t version, std::string summary) {
    name_ = std::move(name);
    version_ = version;
    summary_ = std::move(summary);
    defaults_ = P{};
    address_ = [](std::any* params) -> void* { return std::any_cast<P>(params); };
  }

  // B is P or a base of it.
  template <typename B, typename T>
  SpecOf& Param(std::string name, T B::*member, ParamRange range, std::string help) {
    using Value = spec_internal::Unwrapped<T>;
    ParamSpec param{.name = std::move(name),
                    .kind = spec_internal::KindOf<Value>(),
                    .range = range,
                    .help = std::move(help)};
    auto to_value = [](const Value& value) { return ParamValue(value); };
    auto from_value = [](const ParamValue& value) { return std::get<Value>(value); };
    return Add(std::move(param), member, to_value, from_value);
  }
  template <typename B, typename T>
  SpecOf& Param(std::string name, T B::*member, std::string help) {
    return Param(std::move(name), member, ParamRange{}, std::move(help));
  }

  // The default must be one of `values`.
  template <typename B, typename T>
  SpecOf& EnumParam(std::string name, T B::*member,
                    std::vector<std::pair<std::string, spec_internal::Unwrapped<T>>> values,
                    std::string help) {
    using Enum = spec_internal::Unwrapped<T>;
    ParamSpec param{.name = std::move(name), .kind = ParamKind::kEnum, .help = std::move(help)};
    for (const auto& [text, value] : values) param.values.push_back(text);
    auto to_value = [values](Enum value) {
      for (const auto& [text, candidate] : values) {
        if (candidate == value) return ParamValue(text);
      }
      return ParamValue();
    };
    auto from_value = [values](const ParamValue& value) {
      for (const auto& [text, candidate] : values) {
        if (text == std::get<std::string>(value)) return candidate;
      }
      return Enum{};  // not reached: NormalizeParams lets only `values` pass
    };
    return Add(std::move(param), member, to_value, from_value);
  }

  SpecOf& Input(std::string name, ArtifactKind kind, InputOptions options = {},
                std::string help = "") {
    inputs_.push_back({std::move(name), kind, std::move(options), std::move(help)});
    return *this;
  }
  SpecOf& Output(std::string name, std::string shape, std::string unit, std::string help = "") {
    outputs_.push_back({std::move(name), std::move(shape), std::move(unit), std::move(help)});
    return *this;
  }
  SpecOf& Metric(std::string name, MetricOptions options, std::string help) {
    metrics_.push_back({std::move(name), std::move(options), std::move(help)});
    return *this;
  }
  SpecOf& Plan(absl::StatusOr<radiograph::Plan> (*plan)(const P&, const Headers&)) {
    plan_ = [plan](const std::any& params, const Headers& headers) {
      return plan(std::any_cast<const P&>(params), headers);
    };
    return *this;
  }

 private:
  template <typename B, typename T, typename ToValue, typename FromValue>
  SpecOf& Add(ParamSpec param, T B::*member, const ToValue& to_value, const FromValue& from_value) {
    const T& initial = std::any_cast<const P&>(defaults_).*member;
    if constexpr (spec_internal::Unwrap<T>::kOptional) {
      param.optional = true;
      if (initial.has_value()) param.default_value = to_value(*initial);
    } else {
      param.default_value = to_value(initial);
    }
    params_.push_back(std::move(param));
    setters_.push_back([member, from_value](const ParamValue& value, void* params) {
      T& target = static_cast<P*>(params)->*member;
      if (std::holds_alternative<std::monostate>(value)) {
        target = T{};
      } else {
        target = from_value(value);
      }
    });
    return *this;
  }
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_CATALOG_SPEC_BUILDER_H_
