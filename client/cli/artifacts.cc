// radiograph models|data push | ls | show | tensors | pull | alias | rm
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/filter_flags.h"
#include "client/cli/local_files.h"
#include "client/cli/out_folder.h"
#include "client/cli/output.h"
#include "client/cli/push.h"
#include "client/cli/times.h"
#include "core/base/disk_room.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string AliasesOf(const v1::Artifact& artifact) {
  return absl::StrJoin(artifact.aliases(), " ", [](std::string* to, const v1::Alias& alias) {
    absl::StrAppend(to, alias.alias());
  });
}

std::string FamilyOf(const v1::Artifact& artifact) {
  auto family = artifact.architecture().fields().find("family");
  return family == artifact.architecture().fields().end() ? "" : family->second.string_value();
}

absl::StatusOr<std::map<std::string, std::string>> Labels(const Args& args) {
  ASSIGN_OR_RETURN(Pairs pairs, args.Pairs("label"));
  std::map<std::string, std::string> labels(pairs.begin(), pairs.end());
  if (args.Has("step")) {
    ASSIGN_OR_RETURN(int64_t step, args.Integer("step", 0, 0, int64_t{1} << 53));
    labels["step"] = absl::StrCat(step);
  }
  return labels;
}

// What can be asked about a model that has just been pushed.
absl::Status SayWhatFits(Cli& cli, Client& client, const v1::Artifact& artifact) {
  ASSIGN_OR_RETURN(std::vector<v1::Analysis> analyses, client.ListAnalyses(RefOf(artifact)));
  if (analyses.empty()) {
    cli.console.Say("No analysis of this server fits it; radiograph analyses ls lists all.");
    return absl::OkStatus();
  }
  cli.console.Say("What can be asked about it:");
  for (const v1::Analysis& analysis : analyses) {
    std::string input = "model";
    for (const v1::AnalysisInput& candidate : analysis.inputs()) {
      if (candidate.kind() == v1::MODEL) input = candidate.name();
    }
    cli.console.Say(absl::StrCat("  radiograph run ", analysis.name(), " --input ", input, "=",
                                 RefOf(artifact), "    ", analysis.summary()));
  }
  return absl::OkStatus();
}

// A usage error where two paths stand, the first of which would be taken for a name. `push net
// ./net` is no such case.
absl::Status CheckIsNoPath(const std::string& name, const std::string& path) {
  std::error_code ignored;
  const bool other =
      std::filesystem::exists(name, ignored) && !std::filesystem::equivalent(name, path, ignored);
  if (!IsUtf8(name)) return UsageError(absl::StrCat(name, " is not UTF-8"));
  if (!other && !IsPath(name)) return absl::OkStatus();
  return UsageError(absl::StrCat(
      name, " and ", path, " are two paths; push one at a time, or write NAME PATH, or --name"));
}

absl::StatusOr<ExitCode> PushCommand(Cli& cli, const Args& args, v1::ArtifactKind kind) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  PushOptions options{.kind = kind, .name = args.Get("name"), .labels = {}, .roles = {}};
  if (args.positionals().size() == 2) {
    if (args.Has("name")) return UsageError("the name is given twice");
    options.name = args.positionals()[0];
    RETURN_IF_ERROR(CheckIsNoPath(options.name, args.positionals()[1]));
  }
  ASSIGN_OR_RETURN(options.labels, Labels(args));
  ASSIGN_OR_RETURN(Pairs roles, args.Pairs("role"));
  options.roles = {roles.begin(), roles.end()};
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  // A step is one model's.
  ASSIGN_OR_RETURN(
      std::vector<v1::Artifact> artifacts,
      PushAll(cli, *client, args.positionals().back(), /*list=*/!args.Has("step"), options));
  TextTable table{.columns = {"ARTIFACT", "FAMILY", "SIZE"}, .rows = {}};
  Json json = Json::array();
  for (const v1::Artifact& artifact : artifacts) {
    table.rows.push_back({RefOf(artifact), FamilyOf(artifact), BytesText(artifact.size())});
    ASSIGN_OR_RETURN(json.emplace_back(), MessageToJson(artifact));
  }
  Print(cli.console.out(), format, table, artifacts.size() == 1 ? json[0] : json);
  if (kind == v1::MODEL) RETURN_IF_ERROR(SayWhatFits(cli, *client, artifacts.back()));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Ls(Cli& cli, const Args& args, v1::ArtifactKind kind) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  v1::ListArtifactsRequest request;
  request.set_kind(kind);
  if (!args.positionals().empty()) request.set_name(args.positionals()[0]);
  ASSIGN_OR_RETURN(*request.mutable_filter(), FilterOf(args));
  request.set_order_by(args.Get("order-by"));
  ASSIGN_OR_RETURN(std::vector<v1::Artifact> artifacts, client->ListArtifacts(request));
  TextTable table{.columns = {"ARTIFACT", "FAMILY", "SIZE", "CREATED", "ALIASES", "LABELS"},
                  .rows = {}};
  Json json = Json::array();
  for (const v1::Artifact& artifact : artifacts) {
    table.rows.push_back({RefOf(artifact), FamilyOf(artifact), BytesText(artifact.size()),
                          TimeText(artifact.create_time()), AliasesOf(artifact),
                          absl::StrJoin(artifact.labels(), " ", absl::PairFormatter("="))});
    ASSIGN_OR_RETURN(json.emplace_back(), MessageToJson(artifact));
  }
  Print(cli.console.out(), format, table, json);
  return ExitCode::kSuccess;
}

absl::StatusOr<v1::Artifact> GetOfKind(Client& client, const std::string& ref,
                                       v1::ArtifactKind kind) {
  absl::StatusOr<v1::Artifact> artifact = client.GetArtifact(ref);
  if (!artifact.ok()) return ExplainNotFound(artifact.status(), ref);
  if (artifact->kind() == kind) return artifact;
  return absl::NotFoundError(absl::StrCat(ref, " is a ", v1::ArtifactKind_Name(artifact->kind()),
                                          ", not a ", v1::ArtifactKind_Name(kind)));
}

absl::StatusOr<ExitCode> Show(Cli& cli, const Args& args, v1::ArtifactKind kind) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(v1::Artifact artifact, GetOfKind(*client, args.positionals()[0], kind));
  ASSIGN_OR_RETURN(Json json, MessageToJson(artifact));
  TextTable table{.columns = {"FIELD", "VALUE"}, .rows = {{"artifact", RefOf(artifact)}}};
  auto add = [&](const std::string& field, const std::string& value) {
    if (!value.empty()) table.rows.push_back({field, value});
  };
  add("kind", v1::ArtifactKind_Name(artifact.kind()));
  add("digest", artifact.digest());
  add("created", TimeText(artifact.create_time()));
  add("aliases", AliasesOf(artifact));
  if (json.contains("architecture")) add("architecture", json["architecture"].dump());
  add("labels", absl::StrJoin(artifact.labels(), " ", absl::PairFormatter("=")));
  add("roles", absl::StrJoin(artifact.roles(), " ", absl::PairFormatter("=")));
  for (const std::string& note : artifact.notes()) add("note", note);
  for (const v1::ArtifactFile& file : artifact.files()) {
    add("file", absl::StrCat(file.name(), "  ", BytesText(file.blob().size()), "  sha256 ",
                             file.blob().sha256()));
  }
  if (format == Format::kName) table.rows = {{RefOf(artifact), ""}};
  Print(cli.console.out(), format, table, json);
  return ExitCode::kSuccess;
}

// The files that are not there yet, into the folder.
absl::Status Fetch(Cli& cli, Client& client, const v1::Artifact& artifact, const OutFolder& out) {
  google::protobuf::RepeatedPtrField<v1::ArtifactFile> missing;
  int64_t bytes = 0;
  for (const v1::ArtifactFile& file : artifact.files()) {
    if (!out.Lacks(file.name())) continue;
    *missing.Add() = file;
    bytes += file.blob().size();
  }
  RETURN_IF_ERROR(CheckRoom(out.staging(), bytes, RefOf(artifact)));
  const std::string folder = out.staging() + "/files";
  RETURN_IF_ERROR(client.DownloadFiles(missing, folder, cli.Transfer()));
  return out.KeepFiles(folder);
}

absl::StatusOr<ExitCode> Pull(Cli& cli, const Args& args, v1::ArtifactKind kind) {
  if (!args.Has("out")) return UsageError("--out DIR is needed");
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(v1::Artifact artifact, GetOfKind(*client, args.positionals()[0], kind));
  FileDigests files;
  for (const v1::ArtifactFile& file : artifact.files()) files[file.name()] = file.blob().sha256();
  ASSIGN_OR_RETURN(OutFolder out, OutFolder::MakeFor(args.Get("out"), std::move(files),
                                                     {.force = args.Has("force")}));
  RETURN_IF_ERROR(out.Explain(Fetch(cli, *client, artifact, out)));
  cli.console.Say(absl::StrCat(RefOf(artifact), " is in ", args.Get("out")));
  const std::vector<std::string> others = out.Others();
  if (!others.empty()) {
    cli.console.Say(absl::StrCat("Beside it stay ", absl::StrJoin(others, ", "),
                                 ", which are not of ", RefOf(artifact)));
  }
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Tensors(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  const std::string& ref = args.positionals()[0];
  absl::StatusOr<std::vector<v1::Tensor>> tensors = client->ListTensors(ref);
  if (!tensors.ok()) return ExplainNotFound(tensors.status(), ref);
  TextTable table{.columns = {"TENSOR", "DTYPE", "SHAPE", "FILE", "ALIAS OF"}, .rows = {}};
  Json json = Json::array();
  for (const v1::Tensor& tensor : *tensors) {
    table.rows.push_back({tensor.name(), tensor.dtype(),
                          absl::StrCat("[", absl::StrJoin(tensor.shape(), ", "), "]"),
                          tensor.file(), tensor.alias_of()});
    ASSIGN_OR_RETURN(json.emplace_back(), MessageToJson(tensor));
  }
  Print(cli.console.out(), format, table, json);
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> AliasCommand(Cli& cli, const Args& args, v1::ArtifactKind kind) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  v1::SetAliasRequest request;
  request.set_ref(args.positionals()[0]);
  request.set_alias(args.positionals()[1]);
  request.set_etag(args.Get("etag"));
  request.set_remove(args.Has("rm"));
  RETURN_IF_ERROR(GetOfKind(*client, request.ref(), kind).status());
  ASSIGN_OR_RETURN(const v1::Alias alias, client->SetAlias(request));
  const std::string name = absl::StrCat(alias.name(), ":", alias.alias());
  const std::string version = absl::StrCat(alias.name(), "@", alias.version());
  if (request.remove()) {
    cli.console.Say(absl::StrCat("Removed ", name, " from ", version));
    return ExitCode::kSuccess;
  }
  ASSIGN_OR_RETURN(const Json json, MessageToJson(alias));
  Print(cli.console.out(), format,
        {.columns = {"ALIAS", "ARTIFACT", "ETAG"}, .rows = {{name, version, alias.etag()}}}, json);
  return ExitCode::kSuccess;
}

// Only what is named with its version: the newest one is easily another than the one in mind.
absl::StatusOr<ExitCode> Rm(Cli& cli, const Args& args, v1::ArtifactKind kind) {
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  for (const std::string& ref : args.positionals()) {
    ASSIGN_OR_RETURN(v1::Artifact artifact, GetOfKind(*client, ref, kind));
    if (ref != RefOf(artifact)) {
      return UsageError(
          absl::StrCat("name the version: ", RefOf(artifact), " is the newest of ", ref));
    }
    RETURN_IF_ERROR(client->DeleteArtifact(ref, artifact.etag()));
    cli.console.Say(absl::StrCat("Removed ", ref));
  }
  return ExitCode::kSuccess;
}

template <v1::ArtifactKind kKind>
Command AliasOf(const std::string& family, const std::string& what) {
  return {.name = family + " alias",
          .positionals = "NAME@VERSION ALIAS",
          .summary = "points NAME:ALIAS at a version of a " + what,
          .flags = {{.name = "etag",
                     .value = "ETAG",
                     .help = "only if the alias still has this one; - : only if it is new"},
                    {.name = "rm", .value = "", .help = "takes the alias away from the version"},
                    FormatFlag()},
          .positionals_min = 2,
          .positionals_max = 2,
          .run = [](Cli& cli, const Args& args) { return AliasCommand(cli, args, kKind); }};
}

template <v1::ArtifactKind kKind>
std::vector<Command> FamilyOfCommands(const std::string& family) {
  const bool model = kKind == v1::MODEL;
  std::vector<FlagSpec> push_flags = {
      {.name = "name", .value = "NAME", .help = "of the artifact; else taken from the path"},
      {.name = "label", .value = "KEY=VALUE", .help = "a label", .repeated = true}};
  if (model) {
    push_flags.push_back(
        {.name = "step", .value = "N", .help = "the training step, as label step"});
  } else {
    push_flags.push_back({.name = "role",
                          .value = "ROLE=TENSOR",
                          .help = "which tensor plays a role that isn't its name",
                          .repeated = true});
  }
  push_flags.push_back(FormatFlag());
  std::vector<FlagSpec> ls_flags =
      FilterFlags("labels.step = 100 AND create_time > \"2026-01-31T12:00:00Z\"");
  ls_flags.push_back(FormatFlag());
  const std::string what = model ? "model" : "data set";
  return {
      {.name = family + " push",
       .positionals = "[NAME] PATH",
       .summary = model ? "uploads a model, or a series of them, and registers it"
                        : "uploads a data set and registers it",
       .flags = push_flags,
       .positionals_min = 1,
       .positionals_max = 2,
       .run = [](Cli& cli, const Args& args) { return PushCommand(cli, args, kKind); }},
      {.name = family + " ls",
       .positionals = "[NAME]",
       .summary = "all " + what + "s, or the versions of one",
       .flags = ls_flags,
       .positionals_max = 1,
       .run = [](Cli& cli, const Args& args) { return Ls(cli, args, kKind); }},
      {.name = family + " show",
       .positionals = "NAME[@VERSION|:ALIAS]",
       .summary = "files, digests, labels of a " + what,
       .flags = {FormatFlag()},
       .positionals_min = 1,
       .positionals_max = 1,
       .run = [](Cli& cli, const Args& args) { return Show(cli, args, kKind); }},
      {.name = family + " tensors",
       .positionals = "NAME[@VERSION|:ALIAS]",
       .summary = "names, types and shapes of its tensors",
       .flags = {FormatFlag()},
       .positionals_min = 1,
       .positionals_max = 1,
       .run = &Tensors},
      {.name = family + " pull",
       .positionals = "NAME[@VERSION|:ALIAS] --out DIR",
       .summary = "brings the files of a " + what + " here, verified",
       .flags = {{.name = "out", .value = "DIR", .help = "where to: a new folder or an empty one"},
                 ForceFlag()},
       .positionals_min = 1,
       .positionals_max = 1,
       .run = [](Cli& cli, const Args& args) { return Pull(cli, args, kKind); }},
      AliasOf<kKind>(family, what),
      {.name = family + " rm",
       .positionals = "NAME@VERSION...",
       .summary = "removes versions",
       .positionals_min = 1,
       .positionals_max = 1000,
       .run = [](Cli& cli, const Args& args) { return Rm(cli, args, kKind); }}};
}

}  // namespace

std::vector<Command> ArtifactCommands() {
  std::vector<Command> commands = FamilyOfCommands<v1::MODEL>("models");
  for (Command& command : FamilyOfCommands<v1::DATASET>("data"))
    commands.push_back(std::move(command));
  return commands;
}

}  // namespace radiograph::cli
