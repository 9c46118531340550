#include "client/cli/filter_flags.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

std::string Quoted(const std::string& text) {
  return absl::StrCat(
      "\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}, {"*", "\\*"}}), "\"");
}

}  // namespace

std::vector<FlagSpec> FilterFlags(const std::string& example) {
  return {{.name = "filter",
           .value = "FILTER",
           .help = absl::StrCat("only those for which it holds (AIP-160), as in '", example, "'")},
          {.name = "label", .value = "KEY=VALUE", .help = "only those with it", .repeated = true},
          {.name = "order-by",
           .value = "FIELD [desc]",
           .help = "\"create_time desc\", newest first, when it is absent"}};
}

absl::StatusOr<std::string> FilterOf(const Args& args, std::vector<std::string> more) {
  ASSIGN_OR_RETURN(const auto labels, args.Pairs("label"));
  for (const auto& [key, value] : labels) {
    more.push_back(absl::StrCat("labels.", Quoted(key), " = ", Quoted(value)));
  }
  // AND binds loosest, so the filter needs no parentheses and positions in it stay.
  if (!args.Get("filter").empty()) more.insert(more.begin(), args.Get("filter"));
  return absl::StrJoin(more, " AND ");
}

}  // namespace radiograph::cli
