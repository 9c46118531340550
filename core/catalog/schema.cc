#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/catalog/spec.h"

namespace radiograph {
namespace {

constexpr double kIntMax = 9007199254740991;  // 2^53 - 1

Json IntSchema(const ParamRange& range) {
  return {{"type", "integer"},
          {"minimum", static_cast<int64_t>(std::ceil(std::max(range.min, -kIntMax)))},
          {"maximum", static_cast<int64_t>(std::floor(std::min(range.max, kIntMax)))}};
}

Json NumberSchema(const ParamRange& range) {
  Json schema = {{"type", "number"}};
  if (std::isfinite(range.min)) schema["minimum"] = range.min;
  if (std::isfinite(range.max)) schema["maximum"] = range.max;
  return schema;
}

Json StringSchema(int64_t bytes_max) { return {{"type", "string"}, {"maxLength", bytes_max}}; }

Json ListSchema(const ParamRange& range, Json items) {
  return {{"type", "array"}, {"maxItems", range.count_max}, {"items", std::move(items)}};
}

Json ValueSchema(const ParamSpec& param) {
  switch (param.kind) {
    case ParamKind::kBool:
      return {{"type", "boolean"}};
    case ParamKind::kInt:
      return IntSchema(param.range);
    case ParamKind::kNumber:
      return NumberSchema(param.range);
    case ParamKind::kEnum:
      return {{"type", "string"}, {"enum", param.values}};
    case ParamKind::kString:
      return StringSchema(param.range.count_max);
    case ParamKind::kInts:
      return ListSchema(param.range, IntSchema(param.range));
    case ParamKind::kNumbers:
      return ListSchema(param.range, NumberSchema(param.range));
    case ParamKind::kStrings:
      return ListSchema(param.range, StringSchema(kElementBytesMax));
    case ParamKind::kMap:
      return {{"type", "object"},
              {"maxProperties", param.range.count_max},
              {"additionalProperties", StringSchema(kElementBytesMax)}};
  }
  return {};
}

Json ParamJson(const ParamSpec& param) {
  Json json = {{"name", param.name},         {"kind", Name(param.kind)},
               {"optional", param.optional}, {"default_value", ToJson(param.default_value)},
               {"values", param.values},     {"help", param.help}};
  if (std::isfinite(param.range.min)) json["min"] = param.range.min;
  if (std::isfinite(param.range.max)) json["max"] = param.range.max;
  return json;
}

}  // namespace

Json JsonSchema(const Spec& spec) {
  Json properties = Json::object();
  for (const ParamSpec& param : spec.params()) {
    Json schema = ValueSchema(param);
    if (param.optional) {
      schema["type"] = Json::array({schema["type"], "null"});
      if (param.kind == ParamKind::kEnum) schema["enum"].push_back(nullptr);
    }
    schema["description"] = param.help;
    schema["default"] = ToJson(param.default_value);
    properties[param.name] = std::move(schema);
  }
  return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
          {"title", spec.name()},
          {"description", spec.summary()},
          {"type", "object"},
          {"properties", std::move(properties)},
          {"additionalProperties", false}};
}

Json Description(const Spec& spec) {
  Json json = {{"name", spec.name()},
               {"version", spec.version()},
               {"summary", spec.summary()},
               {"json_schema", JsonSchema(spec)}};
  for (const ParamSpec& param : spec.params()) json["params"].push_back(ParamJson(param));
  for (const InputSpec& input : spec.inputs()) {
    json["inputs"].push_back({{"name", input.name},
                              {"kind", Name(input.kind)},
                              {"optional", input.options.optional},
                              {"list", input.options.list},
                              {"roles", input.options.roles},
                              {"help", input.help}});
  }
  for (const OutputSpec& output : spec.outputs()) {
    json["outputs"].push_back({{"name", output.name},
                               {"shape", output.shape},
                               {"unit", output.unit},
                               {"help", output.help}});
  }
  for (const MetricSpec& metric : spec.metrics()) {
    json["metrics"].push_back({{"name", metric.name},
                               {"unit", metric.options.unit},
                               {"better", Name(metric.options.better)},
                               {"exactness", Name(metric.options.exactness)},
                               {"help", metric.help}});
  }
  return json;
}

}  // namespace radiograph
