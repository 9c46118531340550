// radiograph run
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/cli.h"
#include "client/cli/describe.h"
#include "client/cli/job_text.h"
#include "client/cli/local_files.h"
#include "client/cli/local_run.h"
#include "client/cli/output.h"
#include "client/cli/params.h"
#include "client/cli/push.h"
#include "client/cli/results.h"
#include "client/cli/waiting_reason.h"
#include "core/analyses/catalog.h"
#include "core/base/nearest_names.h"
#include "core/base/status_macros.h"
#include "core/process/prepare_job.h"

namespace radiograph::cli {
namespace {

constexpr int64_t kMaxAttemptsMax = 20;  // as the server has it

using Pairs = std::vector<std::pair<std::string, std::string>>;

absl::Status CheckFlags(const Args& args) {
  for (const char* flag : {"no-wait", "watch", "cache", "timeout", "endpoint", "device", "priority",
                           "deadline", "max-attempts"}) {
    if (args.Has("local") && args.Has(flag)) {
      return UsageError(absl::StrCat(Dashed(flag), " speaks of a server; leave it or --local out"));
    }
  }
  if (args.Has("threads") && !args.Has("local")) {
    return UsageError("--threads goes with --local; a server has its own");
  }
  for (const char* flag : {"out", "watch", "timeout"}) {
    if (args.Has("no-wait") && args.Has(flag)) {
      return UsageError(
          absl::StrCat(Dashed(flag), " needs the job's end; leave it or --no-wait out"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::CacheMode> CacheOf(const Args& args) {
  const std::string word = args.Get("cache");
  if (word.empty() || word == "use") return v1::USE;
  if (word == "refresh") return v1::REFRESH;
  if (word == "bypass") return v1::BYPASS;
  return UsageError(absl::StrCat("--cache is \"", word, "\"; use, refresh and bypass are allowed"));
}

// When and how urgently it is to run.
absl::Status SetSchedule(const Args& args, v1::CreateJobRequest& request) {
  v1::JobPriority priority = v1::NORMAL;
  const std::string word = absl::AsciiStrToUpper(args.Get("priority"));
  if (!word.empty() && !v1::JobPriority_Parse(word, &priority)) {
    return UsageError(absl::StrCat("--priority is \"", args.Get("priority"),
                                   "\"; high, normal and low are allowed"));
  }
  request.set_priority(priority);
  ASSIGN_OR_RETURN(int64_t attempts, args.Integer("max-attempts", 0, 1, kMaxAttemptsMax));
  request.set_max_attempts(static_cast<int32_t>(attempts));
  if (!args.Has("deadline")) return absl::OkStatus();
  ASSIGN_OR_RETURN(const absl::Duration deadline, args.Duration("deadline", {}));
  request.mutable_timeout()->set_seconds(absl::ToInt64Seconds(deadline));
  const absl::Duration rest = deadline - absl::Seconds(absl::ToInt64Seconds(deadline));
  request.mutable_timeout()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return absl::OkStatus();
}

absl::StatusOr<const v1::AnalysisInput*> FindInput(const v1::Analysis& analysis,
                                                   const std::string& name) {
  std::vector<std::string> names;
  for (const v1::AnalysisInput& input : analysis.inputs()) {
    if (input.name() == name) return &input;
    names.push_back(input.name());
  }
  return absl::InvalidArgumentError(absl::StrCat("inputs.", name, " is no input of ",
                                                 analysis.name(),
                                                 NearestText("; nearest: ", name, names)));
}

// --role INPUT.ROLE=TENSOR: for data that is given as a path; an artifact has its roles already.
absl::StatusOr<InputRoles> RolesOf(const Args& args, const v1::Analysis& analysis,
                                   const Pairs& inputs) {
  InputRoles roles;
  ASSIGN_OR_RETURN(const Pairs given, args.Pairs("role"));
  for (const auto& [key, tensor] : given) {
    const size_t dot = key.find('.');
    if (dot == 0 || dot == key.npos || dot + 1 == key.size() || tensor.empty()) {
      return UsageError(absl::StrCat("--role ", key, "=", tensor,
                                     " is not INPUT.ROLE=TENSOR, as in data.inputs=images"));
    }
    const std::string name = key.substr(0, dot), role = key.substr(dot + 1);
    ASSIGN_OR_RETURN(const v1::AnalysisInput* input, FindInput(analysis, name));
    const std::string flag = absl::StrCat("--role ", key, "=", tensor);
    if (input->kind() != v1::DATASET) {
      return UsageError(absl::StrCat(flag, ": inputs.", name, " is a ",
                                     v1::ArtifactKind_Name(input->kind()),
                                     "; --role names the tensors of a DATASET"));
    }
    const auto of_input = std::find_if(inputs.begin(), inputs.end(),
                                       [&](const auto& pair) { return pair.first == name; });
    if (of_input == inputs.end()) {
      return UsageError(absl::StrCat(flag, ": there is no --input ", name, "=PATH"));
    }
    if (!IsPath(of_input->second)) {
      return UsageError(absl::StrCat(flag, ": ", of_input->second,
                                     " is an artifact, whose roles were given when it was pushed "
                                     "(data push --role); --role is for a path"));
    }
    if (!roles[name].emplace(role, tensor).second) {
      return UsageError(absl::StrCat("--role ", key, " is given twice"));
    }
  }
  return roles;
}

absl::StatusOr<ExitCode> RunLocal(Cli& cli, const Args& args, Format format) {
  if (format == Format::kName) return UsageError("-o name names a job; --local makes none");
  ASSIGN_OR_RETURN(const Spec* spec, FindSpec(args.positionals()[0]));
  ASSIGN_OR_RETURN(v1::Analysis analysis, Describe(*spec));
  ASSIGN_OR_RETURN(Pairs inputs, args.Pairs("input"));
  for (const auto& [name, path] : inputs) RETURN_IF_ERROR(FindInput(analysis, name).status());
  ASSIGN_OR_RETURN(Json params, ReadParams(analysis, args));
  LocalRun run{.spec = *spec,
               .inputs = inputs,
               .roles = {},
               .params = params,
               .out = args.Get("out"),
               .format = format};
  run.force = args.Has("force");
  ASSIGN_OR_RETURN(run.roles, RolesOf(args, analysis, inputs));
  ASSIGN_OR_RETURN(run.seed, args.Integer("seed", 0, 0, kSeedMax));
  ASSIGN_OR_RETURN(run.threads, args.Integer("threads", 0, 0, 4096));
  return RunLocally(cli, run);
}

absl::StatusOr<v1::CreateJobRequest> MakeRequest(Cli& cli, Client& client, const Args& args) {
  v1::CreateJobRequest request;
  request.set_analysis(args.positionals()[0]);
  ASSIGN_OR_RETURN(int64_t seed, args.Integer("seed", 0, 0, kSeedMax));
  request.set_seed(seed);
  ASSIGN_OR_RETURN(v1::CacheMode cache, CacheOf(args));
  request.set_cache(cache);
  request.set_device_kind(args.Get("device"));
  RETURN_IF_ERROR(SetSchedule(args, request));
  ASSIGN_OR_RETURN(const Pairs labels, args.Pairs("label"));
  for (const auto& [key, value] : labels) (*request.mutable_labels())[key] = value;
  ASSIGN_OR_RETURN(Pairs inputs, args.Pairs("input"));
  ASSIGN_OR_RETURN(v1::Analysis analysis, client.GetAnalysis(request.analysis()));
  ASSIGN_OR_RETURN(Json params, ReadParams(analysis, args));
  RETURN_IF_ERROR(JsonToMessage(params, request.mutable_params()));
  for (const auto& [name, ref] : inputs) RETURN_IF_ERROR(FindInput(analysis, name).status());
  ASSIGN_OR_RETURN(InputRoles roles, RolesOf(args, analysis, inputs));
  for (const auto& [name, ref] : inputs) {
    ASSIGN_OR_RETURN(const v1::AnalysisInput* input, FindInput(analysis, name));
    ASSIGN_OR_RETURN(
        std::vector<std::string> refs,
        PushIfPath(cli, client, ref, input->list(), {.kind = input->kind(), .roles = roles[name]}));
    for (std::string& one : refs) {
      (*request.mutable_inputs())[name].add_refs(std::move(one));
    }
  }
  return request;
}

absl::StatusOr<v1::CreateJobResponse> CreateJob(Client& client, const Args& args,
                                                const v1::CreateJobRequest& request) {
  absl::StatusOr<v1::CreateJobResponse> created = client.CreateJob(request);
  if (created.ok() || !absl::IsNotFound(created.status())) return created;
  ASSIGN_OR_RETURN(Pairs inputs, args.Pairs("input"));
  for (const auto& [name, ref] : inputs) {
    if (!absl::StrContains(created.status().message(), ref)) continue;
    return ExplainNotFound(created.status(), ref);
  }
  return created;
}

// Follows the job to its end; Ctrl-C cancels it.
absl::StatusOr<v1::Job> RunToEnd(Cli& cli, Client& client, const Args& args,
                                 const std::string& id) {
  ASSIGN_OR_RETURN(absl::Duration timeout, args.Duration("timeout", absl::InfiniteDuration()));
  absl::StatusOr<v1::Job> job = Follow(cli, client, id, timeout, [&](const v1::JobEvent& event) {
    if (args.Has("watch")) cli.console.Say(EventText(event));
  });
  if (job.ok() || !cli.stop.stop_requested()) return job;
  cli.console.Say(absl::StrCat("Cancelling job ", id));
  RETURN_IF_ERROR(client.CancelJob(id).status());
  return absl::CancelledError(absl::StrCat("job ", id, " was asked to stop"));
}

absl::StatusOr<ExitCode> RunOnServer(Cli& cli, const Args& args, Format format) {
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(const Pairs inputs, args.Pairs("input"));
  ASSIGN_OR_RETURN(OutFolder out, OutFolder::Make(args.Get("out"), {.force = args.Has("force"),
                                                                    .inputs = InputPaths(inputs)}));
  ASSIGN_OR_RETURN(v1::CreateJobRequest request, MakeRequest(cli, *client, args));
  ASSIGN_OR_RETURN(v1::CreateJobResponse created, CreateJob(*client, args, request));
  for (const std::string& note : created.notes()) cli.console.Say(note);
  v1::Job job = created.job();
  if (args.Has("no-wait")) {
    RETURN_IF_ERROR(PrintJob(cli.console, format, job));
    if (format == Format::kName && job.state() == v1::QUEUED) cli.console.Say(WaitingText(job));
    return ExitCode::kSuccess;
  }
  cli.console.Say(
      absl::StrCat("Job ", job.id(), created.cache_hit() ? ": answered from the cache" : ""));
  if (!HasEnded(job.state())) {
    ASSIGN_OR_RETURN(job, RunToEnd(cli, *client, args, job.id()));
  }
  if (job.state() != v1::SUCCEEDED) return ReportEnd(cli.console, job);
  if (format == Format::kName) cli.console.out() << job.id() << "\n";
  if (format != Format::kName || out.kept()) {
    RETURN_IF_ERROR(FetchResult(cli, *client, job, out, format));
  }
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Run(Cli& cli, const Args& args) {
  RETURN_IF_ERROR(CheckFlags(args));
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  return args.Has("local") ? RunLocal(cli, args, format) : RunOnServer(cli, args, format);
}

// `radiograph run ANALYSIS --help` tells what the analysis takes.
std::string Details(Cli&, const Args& args) {
  if (args.positionals().empty()) {
    return "radiograph run ANALYSIS --help tells the inputs and parameters of an analysis;\n"
           "radiograph analyses ls lists what there is.\n"
           "Models and data are safetensors files. From numpy, data is made so:\n"
           "  from safetensors.numpy import save_file\n"
           "  save_file({\"inputs\": x, \"labels\": y}, \"data.safetensors\")\n";
  }
  absl::StatusOr<const Spec*> spec = FindSpec(args.positionals()[0]);
  if (!spec.ok()) return absl::StrCat(spec.status().message(), "\n");
  absl::StatusOr<v1::Analysis> analysis = Describe(**spec);
  if (!analysis.ok()) return absl::StrCat(analysis.status().message(), "\n");
  absl::StatusOr<TextTable> params = ParamTable(*analysis);
  if (!params.ok()) return absl::StrCat(params.status().message(), "\n");
  return AnalysisText(*analysis, *params);
}

}  // namespace

Command RunCommand() {
  return {
      .name = "run",
      .positionals = "ANALYSIS",
      .summary = "runs an analysis and shows its main numbers",
      .flags =
          {{.name = "input",
            .value = "NAME=REF",
            .help = "what to look at; REF is a path or an artifact",
            .repeated = true},
           {.name = "role",
            .value = "INPUT.ROLE=TENSOR",
            .help = "which tensor of a data file plays a role that isn't its name: "
                    "data.inputs=images",
            .repeated = true},
           {.name = "param",
            .value = "NAME=VALUE",
            .help = "a parameter; lists are 1,2,3",
            .repeated = true},
           {.name = "params",
            .value = "FILE",
            .help = "parameters as a JSON object; --param goes over it"},
           {.name = "seed", .value = "N", .help = "of all randomness; 0"},
           {.name = "out",
            .value = "DIR",
            .help =
                "keep result.json, run.json, arrays.safetensors, figures/ and report.html here: a "
                "new folder, an empty one, or that of another result, which is renewed"},
           ForceFlag(),
           {.name = "local", .value = "", .help = "in a process of its own, without a server"},
           {.name = "threads", .value = "N", .help = "of --local; 0: the usable cores"},
           {.name = "no-wait", .value = "", .help = "end once the job is queued"},
           {.name = "watch", .value = "", .help = "tell every event"},
           {.name = "timeout",
            .value = "TIME",
            .help = "wait no longer than 30s, 10m, 1h; then exit code 4"},
           {.name = "cache",
            .value = "MODE",
            .help = "use (default), refresh or bypass finished work"},
           {.name = "label",
            .value = "KEY=VALUE",
            .help = "of the job, for jobs ls --label",
            .repeated = true},
           {.name = "device", .value = "KIND", .help = "cpu or cuda; any"},
           {.name = "priority", .value = "CLASS", .help = "high, normal (default) or low"},
           {.name = "deadline",
            .value = "TIME",
            .help = "the job fails when it has not ended 30s, 10m, 1h from now"},
           {.name = "max-attempts", .value = "N", .help = "that may crash or be lost, 1..20; 3"},
           FormatFlag()},
      .positionals_min = 1,
      .positionals_max = 1,
      .run = &Run,
      .details = &Details};
}

}  // namespace radiograph::cli
