// radiograph analyses ls | show
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/cli.h"
#include "client/cli/describe.h"
#include "client/cli/output.h"
#include "client/cli/params.h"
#include "client/cli/push.h"
#include "core/analyses/catalog.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

const FlagSpec kLocal = {
    .name = "local", .value = "", .help = "of this program, not of the server"};

std::string InputsText(const v1::Analysis& analysis) {
  return absl::StrJoin(analysis.inputs(), " ", [](std::string* to, const v1::AnalysisInput& input) {
    absl::StrAppend(to, input.name(), input.optional() ? "?" : "", input.list() ? "..." : "");
  });
}

absl::StatusOr<std::vector<v1::Analysis>> FindAnalyses(Cli& cli, const Args& args) {
  if (!args.Has("local")) {
    ASSIGN_OR_RETURN(Client * client, cli.client(args));
    if (!args.Has("for")) return client->ListAnalyses();
    ASSIGN_OR_RETURN(std::vector<std::string> refs,
                     PushIfPath(cli, *client, args.Get("for"), /*list=*/false, {}));
    return client->ListAnalyses(refs[0]);
  }
  if (args.Has("for")) return UsageError("--for asks a server; leave out --local");
  std::vector<v1::Analysis> analyses;
  for (const Spec& spec : Catalog()) {
    ASSIGN_OR_RETURN(analyses.emplace_back(), Describe(spec));
  }
  return analyses;
}

absl::StatusOr<ExitCode> Ls(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(std::vector<v1::Analysis> analyses, FindAnalyses(cli, args));
  TextTable table{.columns = {"ANALYSIS", "VERSION", "INPUTS", "SUMMARY"}, .rows = {}};
  Json json = Json::array();
  for (const v1::Analysis& analysis : analyses) {
    table.rows.push_back({analysis.name(), absl::StrCat(analysis.version()), InputsText(analysis),
                          analysis.summary()});
    ASSIGN_OR_RETURN(json.emplace_back(), MessageToJson(analysis));
  }
  Print(cli.console.out(), format, table, json);
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Show(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  const std::string& name = args.positionals()[0];
  v1::Analysis analysis;
  if (args.Has("local")) {
    ASSIGN_OR_RETURN(const Spec* spec, FindSpec(name));
    ASSIGN_OR_RETURN(analysis, Describe(*spec));
  } else {
    ASSIGN_OR_RETURN(Client * client, cli.client(args));
    ASSIGN_OR_RETURN(analysis, client->GetAnalysis(name));
  }
  ASSIGN_OR_RETURN(TextTable params, ParamTable(analysis));
  ASSIGN_OR_RETURN(Json json, MessageToJson(analysis));
  if (format == Format::kTable) {
    cli.console.out() << AnalysisText(analysis, params);
  } else {
    Print(cli.console.out(), format, params, json);
  }
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> AnalysisCommands() {
  const FlagSpec for_artifact = {
      .name = "for", .value = "REF", .help = "only those that fit this artifact"};
  return {{.name = "analyses ls",
           .positionals = "[--for REF]",
           .summary = "what can be asked",
           .flags = {for_artifact, kLocal, FormatFlag()},
           .run = &Ls},
          {.name = "analyses show",
           .positionals = "NAME",
           .summary = "an analysis' inputs, parameters, metrics and arrays",
           .flags = {kLocal, FormatFlag()},
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Show}};
}

}  // namespace radiograph::cli
