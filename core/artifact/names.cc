#include "core/artifact/names.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

absl::StatusOr<std::vector<std::string>> ParseList(const std::string& key, const Json& list) {
  if (!list.is_array()) {
    return absl::InvalidArgumentError(absl::StrCat("names.json: ", key, " is ", list.type_name(),
                                                   "; a list of strings is right"));
  }
  std::vector<std::string> names;
  for (const Json& name : list) {
    if (!name.is_string()) {
      return absl::InvalidArgumentError(absl::StrCat("names.json: ", key, "[", names.size(),
                                                     "] is ", name.type_name(),
                                                     "; a string is right"));
    }
    names.push_back(name.get<std::string>());
    if (static_cast<int64_t>(names.back().size()) > kNameTextBytesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("names.json: ", key, "[", names.size() - 1, "] has ", names.back().size(),
                       " bytes; at most ", kNameTextBytesMax, " are allowed"));
    }
  }
  return names;
}

}  // namespace

absl::StatusOr<Names> ParseNames(absl::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text, {.bytes_max = kNamesBytesMax});
  if (!json.ok())
    return absl::InvalidArgumentError(absl::StrCat("names.json: ", json.status().message()));
  if (!json->is_object()) {
    return absl::InvalidArgumentError("names.json: an object {classes, tokens, rows} is right");
  }
  Names names;
  for (const auto& [key, list] : json->items()) {
    std::vector<std::string>* into = key == "classes"  ? &names.classes
                                     : key == "tokens" ? &names.tokens
                                     : key == "rows"   ? &names.rows
                                                       : nullptr;
    if (into == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("names.json: unknown key ", JsonExcerpt(key),
                                                     "; classes, tokens and rows are known"));
    }
    ASSIGN_OR_RETURN(*into, ParseList(key, list));
  }
  return names;
}

}  // namespace radiograph
