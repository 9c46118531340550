#include "client/cli/completion.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace radiograph::cli {

std::string BashCompletion(const std::vector<Command>& commands) {
  std::set<std::string> first = {"version", "help", "completion"};
  std::map<std::string, std::set<std::string>> second;
  std::string cases;
  for (const Command& command : commands) {
    std::vector<std::string> words = absl::StrSplit(command.name, ' ');
    first.insert(words[0]);
    if (words.size() > 1) second[words[0]].insert(words[1]);
    std::string flags = absl::StrJoin(
        command.flags, " ",
        [](std::string* to, const FlagSpec& flag) { absl::StrAppend(to, Dashed(flag.name)); });
    absl::StrAppend(&cases, "    \"", command.name, "\"*) words=\"", flags, "\" ;;\n");
  }
  std::string families;
  for (const auto& [family, words] : second) {
    absl::StrAppend(&families, "    ", family, ") words=\"", absl::StrJoin(words, " "), "\" ;;\n");
  }
  return absl::StrCat(R"(_radiograph() {
  local words="" line="${COMP_WORDS[*]:1:COMP_CWORD-1}" current="${COMP_WORDS[COMP_CWORD]}"
  case "$line" in
    "") words=")",
                      absl::StrJoin(first, " "), "\" ;;\n", families, cases, R"(  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "$current" in -*) ;; *) COMPREPLY+=($(compgen -f -- "$current")) ;; esac
}
complete -o filenames -F _radiograph radiograph
)");
}

}  // namespace radiograph::cli
