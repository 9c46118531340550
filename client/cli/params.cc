#include "client/cli/params.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/nearest_names.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr int64_t kParamsBytesMax = 16 << 20;
constexpr int64_t kIntMax = (int64_t{1} << 53) - 1;
constexpr int kNearestMax = 3;

// "integer", "number", "boolean", "string", "array", "object".
std::string TypeOf(const Json& schema) {
  const Json& type = schema.at("type");
  return (type.is_array() ? type.at(0) : type).get<std::string>();
}

bool IsOptional(const Json& schema) { return schema.at("type").is_array(); }

absl::Status Unreadable(absl::string_view text, absl::string_view wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat("is ", JsonExcerpt(text), "; ", wanted, " is allowed"));
}

absl::StatusOr<Json> ParseScalar(const std::string& type, absl::string_view text) {
  if (type == "boolean") {
    if (text != "true" && text != "false") return Unreadable(text, "true or false");
    return Json(text == "true");
  }
  if (type == "integer") {
    int64_t value = 0;
    if (!absl::SimpleAtoi(text, &value) || value < -kIntMax || value > kIntMax) {
      return Unreadable(text, absl::StrCat("an integer of at most ", kIntMax));
    }
    return Json(value);
  }
  if (type == "number") {
    double value = 0;
    if (!absl::SimpleAtod(text, &value) || !std::isfinite(value))
      return Unreadable(text, "a number");
    return Json(value);
  }
  return Json(std::string(text));
}

absl::StatusOr<Json> ParseList(const Json& schema, absl::string_view text) {
  if (!text.empty() && text[0] == '[') return ParseJson(text);
  Json list = Json::array();
  if (text.empty()) return list;
  const std::string type = TypeOf(schema.at("items"));
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    ASSIGN_OR_RETURN(Json value, ParseScalar(type, absl::StripAsciiWhitespace(part)));
    list.push_back(std::move(value));
  }
  return list;
}

absl::StatusOr<Json> ParseMap(absl::string_view text) {
  if (!text.empty() && text[0] == '{') return ParseJson(text);
  Json map = Json::object();
  if (text.empty()) return map;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (!absl::StrContains(part, '=')) return Unreadable(text, "NAME=VALUE,NAME=VALUE");
    map[std::string(pair.first)] = std::string(pair.second);
  }
  return map;
}

absl::Status CheckIntegers(const Json& json) {
  for (const auto& [key, value] : json.items()) {
    bool beyond = value.is_number_unsigned()
                      ? value.get<uint64_t>() > kIntMax
                      : value.is_number_integer() && std::abs(value.get<int64_t>()) > kIntMax;
    if (beyond) {
      return absl::InvalidArgumentError(
          absl::StrCat("is ", value.dump(), "; integers of at most ", kIntMax, " are allowed"));
    }
    if (value.is_structured()) RETURN_IF_ERROR(CheckIntegers(value));
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> Properties(const v1::Analysis& analysis) {
  ASSIGN_OR_RETURN(Json schema, MessageToJson(analysis.json_schema()));
  return schema.contains("properties") ? schema["properties"] : Json::object();
}

// "integer, 1..4096", "input|embed|data", "list of integers"; "?" for an optional.
std::string TypeText(const Json& schema) {
  std::string text = TypeOf(schema);
  if (text == "array") text = absl::StrCat("list of ", TypeText(schema.at("items")));
  if (text == "object") text = "map of strings";
  if (schema.contains("enum")) {
    std::vector<std::string> words;
    for (const Json& word : schema["enum"]) {
      if (word.is_string()) words.push_back(word.get<std::string>());
    }
    text = absl::StrJoin(words, "|");
  }
  auto bound = [&](const char* name) {
    return schema.contains(name) &&
                   std::abs(schema[name].get<double>()) < static_cast<double>(kIntMax)
               ? JsonNumber(schema[name].get<double>())
               : "";
  };
  std::string min = bound("minimum"), max = bound("maximum");
  if (!min.empty() || !max.empty()) absl::StrAppend(&text, " ", min, "..", max);
  return absl::StrCat(text, IsOptional(schema) ? "?" : "");
}

std::string DefaultText(const Json& schema) {
  if (!schema.contains("default")) return "";
  const Json& value = schema["default"];
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

absl::StatusOr<Json> ParseValue(const Json& schema, absl::string_view text) {
  if (IsOptional(schema) && text == "null") return Json(nullptr);
  const std::string type = TypeOf(schema);
  if (type == "array") return ParseList(schema, text);
  if (type == "object") return ParseMap(text);
  return ParseScalar(type, text);
}

absl::StatusOr<Json> ReadParams(const v1::Analysis& analysis, const Args& args) {
  ASSIGN_OR_RETURN(Json properties, Properties(analysis));
  Json params = Json::object();
  if (args.Has("params")) {
    const std::string path = args.Get("params");
    ASSIGN_OR_RETURN(std::string text, ReadFile(path, kParamsBytesMax));
    absl::StatusOr<Json> read = ParseJson(text);
    if (!read.ok())
      return absl::InvalidArgumentError(absl::StrCat(path, ": ", read.status().message()));
    if (!read->is_object())
      return absl::InvalidArgumentError(absl::StrCat(path, ": not a JSON object"));
    params = *std::move(read);
  }
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  ASSIGN_OR_RETURN(Pairs pairs, args.Pairs("param"));
  for (const auto& [name, text] : pairs) {
    if (!properties.contains(name)) {
      std::vector<std::string> names;
      for (const auto& [known, schema] : properties.items()) names.push_back(known);
      return absl::InvalidArgumentError(
          absl::StrCat("params.", name, " is no parameter of ", analysis.name(),
                       NearestText("; nearest: ", name, names, kNearestMax)));
    }
    absl::StatusOr<Json> value = ParseValue(properties[name], text);
    if (!value.ok()) {
      return absl::Status(value.status().code(),
                          absl::StrCat("params.", name, " ", value.status().message()));
    }
    params[name] = *std::move(value);
  }
  for (const auto& [name, value] : params.items()) {
    absl::Status checked = CheckIntegers(Json::array({value}));
    if (!checked.ok())
      return absl::InvalidArgumentError(absl::StrCat("params.", name, " ", checked.message()));
  }
  return params;
}

absl::StatusOr<TextTable> ParamTable(const v1::Analysis& analysis) {
  ASSIGN_OR_RETURN(Json properties, Properties(analysis));
  TextTable table{.columns = {"PARAMETER", "TYPE", "DEFAULT", "WHAT IT DOES"}, .rows = {}};
  for (const auto& [name, schema] : properties.items()) {
    table.rows.push_back(
        {name, TypeText(schema), DefaultText(schema), schema.value("description", "")});
  }
  return table;
}

}  // namespace radiograph::cli
