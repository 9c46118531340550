// radiograph completion
#include "client/cli/completion.h"

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/substitute.h"

namespace radiograph::cli {
namespace {

// What follows the words typed so far is offered as `offered`; $0 are the cases.
constexpr char kBash[] = R"(_radiograph() {
  local offered="" line="$${COMP_WORDS[*]:1:COMP_CWORD-1}" current="$${COMP_WORDS[COMP_CWORD]}"
  case "$$line" in
$0  esac
  COMPREPLY=($$(compgen -W "$$offered" -- "$$current"))
  case "$$current" in -*) ;; *) COMPREPLY+=($$(compgen -f -- "$$current")) ;; esac
}
complete -o filenames -F _radiograph radiograph
)";

constexpr char kZsh[] = R"(#compdef radiograph
_radiograph() {
  local offered="" line="$${(j: :)words[2,CURRENT-1]}"
  case "$$line" in
$0  esac
  compadd -- $${=offered}
  [[ "$$PREFIX" == -* ]] || _files
}
compdef _radiograph radiograph
)";

constexpr char kFish[] = R"(function __radiograph_line
  set -l typed (commandline -opc)
  set -e typed[1]
  printf '%s\n' "$$typed"
end
$0)";

// The first words, and the second ones of each first.
std::map<std::string, std::set<std::string>> Families(const std::vector<Command>& commands) {
  std::map<std::string, std::set<std::string>> families = {{"help", {}}};
  for (const Command& command : commands) {
    std::vector<std::string> words = absl::StrSplit(command.name, ' ');
    std::set<std::string>& second = families[words[0]];
    if (words.size() > 1) second.insert(words[1]);
  }
  return families;
}

std::string FirstWords(const std::vector<Command>& commands) {
  return absl::StrJoin(Families(commands), " ", [](std::string* to, const auto& family) {
    absl::StrAppend(to, family.first);
  });
}

// "bash zsh fish" of positionals "bash|zsh|fish"; what stands for something is in capitals.
std::string Choices(const Command& command) {
  if (!absl::StrContains(command.positionals, '|') ||
      command.positionals != absl::AsciiStrToLower(command.positionals)) {
    return "";
  }
  return absl::StrReplaceAll(command.positionals, {{"|", " "}});
}

// For bash and zsh.
std::string Cases(const std::vector<Command>& commands) {
  std::string cases = absl::StrCat("    \"\") offered=\"", FirstWords(commands), "\" ;;\n");
  for (const auto& [family, words] : Families(commands)) {
    if (words.empty()) continue;
    absl::StrAppend(&cases, "    ", family, ") offered=\"", absl::StrJoin(words, " "), "\" ;;\n");
  }
  for (const Command& command : commands) {
    std::string offered = Choices(command);
    for (const FlagSpec& flag : command.flags) {
      absl::StrAppend(&offered, offered.empty() ? "" : " ", Dashed(flag.name));
    }
    absl::StrAppend(&cases, "    \"", command.name, "\"*) offered=\"", offered, "\" ;;\n");
  }
  return cases;
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

// `complete` of fish for a line that matches `pattern`.
std::string FishLine(absl::string_view pattern, absl::string_view rest) {
  return absl::StrCat("complete -c radiograph -n \"string match -q -- '", pattern,
                      "' (__radiograph_line)\" ", rest, "\n");
}

std::string FishLines(const std::vector<Command>& commands) {
  std::string lines = FishLine("", absl::StrCat("-f -a ", Quoted(FirstWords(commands))));
  for (const Command& command : commands) {
    std::vector<std::string> words = absl::StrSplit(command.name, ' ');
    if (words.size() > 1) {
      absl::StrAppend(&lines, FishLine(words[0], absl::StrCat("-f -a ", words[1], " -d ",
                                                              Quoted(command.summary))));
    }
    const std::string pattern = command.name + "*";
    if (std::string choices = Choices(command); !choices.empty()) {
      absl::StrAppend(&lines, FishLine(pattern, absl::StrCat("-f -a ", Quoted(choices))));
    }
    for (const FlagSpec& flag : command.flags) {
      absl::StrAppend(
          &lines, FishLine(pattern, absl::StrCat(flag.name.size() == 1 ? "-s " : "-l ", flag.name,
                                                 flag.value.empty() ? "" : " -r", " -d ",
                                                 Quoted(flag.help))));
    }
  }
  return lines;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(absl::string_view shell,
                                             const std::vector<Command>& commands) {
  if (shell == "bash") return absl::Substitute(kBash, Cases(commands));
  if (shell == "zsh") return absl::Substitute(kZsh, Cases(commands));
  if (shell == "fish") return absl::Substitute(kFish, FishLines(commands));
  return UsageError(
      absl::StrCat("there is no completion for \"", shell, "\"; bash, zsh and fish are known"));
}

}  // namespace radiograph::cli
