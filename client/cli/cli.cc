#include "client/cli/cli.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/local_files.h"
#include "client/cli/output.h"
#include "core/base/json.h"
#include "core/base/nearest_names.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr char kExitCodes[] = R"(
Exit codes: 0 success, 1 the job failed, 2 wrong command or flag, 4 time-out while waiting (the job goes
on), 5 cancelled, 6 not allowed, 7 no server answers, 8 the input was rejected, 9 internal, 10 out of
memory, disk or quota.
)";

constexpr char kRefs[] = R"(
REF is a path (./x, /x or a name that ends in .safetensors: a file, or a folder with shards, config.json
and names.json; uploaded if the server lacks it) or an artifact NAME[@VERSION|:ALIAS], or job:ID/OUTPUT: an
array of a finished job as data set, or its whole `result`. Where several models are taken, a folder of models or
a glob ('./steps/*.safetensors', quoted) is a series, in the order of `step` in __metadata__ or of the
numbers in the names.
Settings: --endpoint, --token-file, --ca, --cert and --key, else RADIOGRAPH_ENDPOINT, RADIOGRAPH_TOKEN (the
token itself), RADIOGRAPH_CA, RADIOGRAPH_CERT and RADIOGRAPH_KEY, else "endpoint", "token", "ca", "cert" and
"key" in ~/.config/radiograph/config.json; without, no token, no TLS, and the server at 127.0.0.1:7433.
An empty variable counts as not set. A path may begin with ~/, the home folder.
)";

void PrintOverview(std::ostream& out, const std::vector<Command>& all) {
  TextTable table;
  for (const Command& command : all) {
    table.rows.push_back(
        {absl::StrCat("  ", command.name, " ", command.positionals), command.summary});
  }
  table.rows.push_back({"  help [COMMAND]", "this text, or a command's flags"});
  table.rows.push_back({"  --version", "the same as version"});
  out << "radiograph: X-rays for neural networks. Commands:\n\n";
  PrintTable(out, table);
  out << kRefs << kExitCodes;
}

void PrintHelp(Cli& cli, const Command& command, const Args& args) {
  std::ostream& out = cli.console.out();
  out << "radiograph " << command.name << " " << command.positionals << "\n"
      << command.summary << "\n\n";
  TextTable table;
  for (const FlagSpec& flag : command.flags) {
    table.rows.push_back({absl::StrCat("  ", Dashed(flag.name), flag.value.empty() ? "" : " ",
                                       flag.value, flag.repeated ? " ..." : ""),
                          flag.help});
  }
  PrintTable(out, table);
  if (command.details != nullptr) out << "\n" << command.details(cli, args);
}

std::vector<std::string> Names(const std::vector<Command>& all) {
  std::vector<std::string> names;
  for (const Command& command : all) names.push_back(command.name);
  names.push_back("help");
  return names;
}

// The command that the first one or two words name; `words` says how many.
const Command* FindCommand(const std::vector<Command>& all, absl::Span<const std::string> arguments,
                           size_t* words) {
  for (*words = std::min<size_t>(2, arguments.size()); *words > 0; --*words) {
    std::string name = absl::StrJoin(arguments.subspan(0, *words), " ");
    for (const Command& command : all) {
      if (command.name == name) return &command;
    }
  }
  return nullptr;
}

absl::Status UnknownCommand(const std::vector<Command>& all,
                            absl::Span<const std::string> arguments) {
  std::vector<std::string> family;
  for (const Command& command : all) {
    if (absl::StartsWith(command.name, arguments[0] + " ")) family.push_back(command.name);
  }
  std::string given = absl::StrJoin(arguments.subspan(0, family.empty() ? 1 : 2), " ");
  std::string nearest =
      absl::StrJoin(family.empty() ? NearestNames(given, Names(all), 3) : family, ", ");
  return UsageError(absl::StrCat("there is no command \"", given, "\"; ",
                                 family.empty() ? "nearest: " : "there are ", nearest));
}

// Paths are bytes. All else goes to the server or into JSON, where only UTF-8 arrives.
absl::Status CheckUtf8(const Command& command, const Args& args) {
  auto refused = [](absl::string_view what, absl::string_view text) {
    return UsageError(
        absl::StrCat(what, " is \"", absl::CHexEscape(text), "\", which is not UTF-8"));
  };
  const bool takes_paths = absl::StrContains(command.positionals, "PATH") ||
                           absl::StrContains(command.positionals, "DIR");
  for (const std::string& text : args.positionals()) {
    std::error_code ignored;
    const bool path = takes_paths && (IsPath(text) || std::filesystem::exists(text, ignored));
    if (!path && !IsUtf8(text)) return refused("an argument", text);
  }
  for (const FlagSpec& flag : command.flags) {
    if (flag.value == "DIR" || flag.value == "FILE") continue;
    for (const std::string& text : args.All(flag.name)) {
      const size_t equals = text.find('=');
      const bool path = flag.value == "NAME=REF" && equals != text.npos &&
                        IsUtf8(text.substr(0, equals)) && IsPath(text.substr(equals + 1));
      if (!path && !IsUtf8(text)) return refused(Dashed(flag.name), text);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> RunCommandOf(Cli& cli, const Command& command,
                                      absl::Span<const std::string> arguments) {
  ASSIGN_OR_RETURN(Args args, Args::Parse(command.flags, arguments));
  if (args.Has("help")) {
    PrintHelp(cli, command, args);
    return ExitCode::kSuccess;
  }
  RETURN_IF_ERROR(args.CheckText(command.flags, command.positionals));
  RETURN_IF_ERROR(args.ExpandPaths(command.flags, cli.surroundings.environment("HOME")));
  const size_t count = args.positionals().size();
  if (count < command.positionals_min || count > command.positionals_max) {
    return UsageError(absl::StrCat("radiograph ", command.name, " ", command.positionals,
                                   " is how it is written; ", count,
                                   count == 1 ? " argument was" : " arguments were", " given"));
  }
  RETURN_IF_ERROR(CheckUtf8(command, args));
  return command.run(cli, args);
}

absl::StatusOr<ExitCode> Dispatch(Cli& cli, absl::Span<const std::string> arguments) {
  const std::vector<Command> all = AllCommands();
  if (arguments.empty()) {
    PrintOverview(cli.console.out(), all);
    return UsageError("a command is needed");
  }
  const std::vector<std::string> version = {"version"};
  if (arguments[0] == "--version") arguments = version;
  const std::string& first = arguments[0];
  size_t words = 0;
  const bool help = first == "help" || first == "--help" || first == "-h";
  if (help && arguments.size() == 1) {
    PrintOverview(cli.console.out(), all);
    return ExitCode::kSuccess;
  }
  if (help) arguments.remove_prefix(1);
  const Command* command = FindCommand(all, arguments, &words);
  if (command == nullptr) return UnknownCommand(all, arguments);
  arguments.remove_prefix(words);
  if (!help) return RunCommandOf(cli, *command, arguments);
  ASSIGN_OR_RETURN(Args args, Args::Parse(command->flags, arguments));
  PrintHelp(cli, *command, args);
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> AllCommands() {
  std::vector<Command> all = {RunCommand()};
  for (auto family : {&AnalysisCommands, &JobCommands, &ArtifactCommands, &ResultCommands,
                      &WorkerCommands, &ProgramCommands}) {
    for (Command& command : family()) all.push_back(std::move(command));
  }
  for (Command& command : all) {
    for (FlagSpec& flag : ConnectionFlags()) command.flags.push_back(std::move(flag));
    command.flags.push_back({.name = "help", .value = "", .help = "this text"});
  }
  return all;
}

ExitCode RunCommandLine(absl::Span<const std::string> arguments, Console& console,
                        const Surroundings& surroundings, std::stop_token stop) {
  Cli cli(console, surroundings, std::move(stop));
  absl::StatusOr<ExitCode> code = Dispatch(cli, arguments);
  if (code.ok()) {
    console.EndBar();
    return *code;
  }
  ExitCode failure = ExitCodeOf(code.status());
  std::string hint;
  const absl::string_view message = code.status().message();
  if (failure == ExitCode::kUnreachable && absl::StrContains(message, "does not answer")) {
    hint =
        "; start one with radiographd, or name it with --endpoint or RADIOGRAPH_ENDPOINT (and, if "
        "it "
        "speaks TLS, its authority with --ca or RADIOGRAPH_CA)";
  } else if (failure == ExitCode::kUnreachable && absl::StrContains(message, "TLS")) {
    hint = "; leave out --ca and RADIOGRAPH_CA";
  } else if (failure == ExitCode::kUnreachable && absl::StrContains(message, "authority")) {
    hint = "; it is named with --ca or RADIOGRAPH_CA";
  } else if (absl::IsUnauthenticated(code.status())) {
    hint = "; show one with RADIOGRAPH_TOKEN or --token-file";
  } else if (absl::StartsWith(message, "no token is sent")) {
    hint = "; name who signs its certificate with --ca or RADIOGRAPH_CA, or say --insecure";
  }
  console.Say(absl::StrCat("radiograph: ", message, hint));
  return failure;
}

}  // namespace radiograph::cli
