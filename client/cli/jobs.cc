// radiograph jobs ls | get | watch | wait | cancel | retry | rm
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/cli.h"
#include "client/cli/filter_flags.h"
#include "client/cli/job_text.h"
#include "client/cli/output.h"
#include "client/cli/times.h"
#include "client/cli/waiting_reason.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr int64_t kListed = 50;

// "state = RUNNING" of --state running; nothing without it.
absl::StatusOr<std::vector<std::string>> StateFilter(const Args& args) {
  if (!args.Has("state")) return std::vector<std::string>{};
  v1::JobState state;
  const std::string word = absl::AsciiStrToUpper(args.Get("state"));
  if (v1::JobState_Parse(word, &state) && state != v1::JOB_STATE_UNSPECIFIED) {
    return std::vector<std::string>{absl::StrCat("state = ", word)};
  }
  return UsageError(
      absl::StrCat("--state is \"", args.Get("state"),
                   "\"; queued, running, succeeded, failed and cancelled are allowed"));
}

std::string Note(const v1::Job& job) {
  if (job.state() == v1::RUNNING)
    return absl::StrFormat("%.0f%%  %s", job.progress() * 100, job.phase());
  if (job.state() == v1::QUEUED) return job.pending_reason();
  return job.cache_hit() ? "cache hit" : job.error().message();
}

absl::StatusOr<ExitCode> Ls(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  v1::ListJobsRequest request;
  ASSIGN_OR_RETURN(std::vector<std::string> state, StateFilter(args));
  ASSIGN_OR_RETURN(*request.mutable_filter(), FilterOf(args, std::move(state)));
  request.set_order_by(args.Get("order-by"));
  ASSIGN_OR_RETURN(int64_t count, args.Integer("n", kListed, 1, kListEntriesMax));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(std::vector<v1::Job> jobs, client->ListJobs(request, count));
  TextTable table{.columns = {"JOB", "ANALYSIS", "STATE", "CREATED", ""}, .rows = {}};
  Json json = Json::array();
  for (const v1::Job& job : jobs) {
    table.rows.push_back({job.id(), job.analysis(), v1::JobState_Name(job.state()),
                          TimeText(job.create_time()), Note(job)});
    ASSIGN_OR_RETURN(json.emplace_back(), MessageToJson(job));
  }
  Print(cli.console.out(), format, table, json);
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Get(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(v1::Job job, client->GetJob(args.positionals()[0]));
  RETURN_IF_ERROR(PrintJob(cli.console, format, job));
  return ExitCode::kSuccess;
}

// Events are the data of this command: a line each.
absl::StatusOr<ExitCode> Watch(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(absl::Duration timeout, args.Duration("timeout", absl::InfiniteDuration()));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  absl::Status written;
  auto on_event = [&](const v1::JobEvent& event) {
    if (format == Format::kTable) {
      cli.console.out() << EventText(event) << std::endl;
      return;
    }
    absl::StatusOr<Json> json = MessageToJson(event);
    written.Update(json.status());
    if (json.ok()) cli.console.out() << json->dump() << std::endl;
  };
  ASSIGN_OR_RETURN(v1::Job job, Follow(cli, *client, args.positionals()[0], timeout, on_event));
  RETURN_IF_ERROR(written);
  return ReportEnd(cli.console, job);
}

absl::StatusOr<ExitCode> Wait(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(absl::Duration timeout, args.Duration("timeout", absl::InfiniteDuration()));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  const std::string& id = args.positionals()[0];
  absl::StatusOr<v1::Job> job;
  {
    absl::Mutex console_mu;
    const WaitingReason reason(cli, *client, id, console_mu);
    job = client->WaitJob(id, timeout, cli.stop);
  }
  RETURN_IF_ERROR(job.status());
  RETURN_IF_ERROR(PrintJob(cli.console, format, *job));
  return ReportEnd(cli.console, *job);
}

absl::StatusOr<ExitCode> Cancel(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  for (const std::string& id : args.positionals()) {
    ASSIGN_OR_RETURN(v1::Job job, client->CancelJob(id));
    cli.console.Say(absl::StrCat("Job ", id,
                                 HasEnded(job.state()) ? " is " : " is asked to stop; it is ",
                                 v1::JobState_Name(job.state()), "."));
  }
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Retry(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(v1::Job job, client->RetryJob(args.positionals()[0]));
  cli.console.Say(absl::StrCat("Job ", job.id(), " does it over again."));
  RETURN_IF_ERROR(PrintJob(cli.console, format, job));
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Rm(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  for (const std::string& id : args.positionals()) RETURN_IF_ERROR(client->DeleteJob(id));
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> JobCommands() {
  const FlagSpec timeout = {.name = "timeout",
                            .value = "TIME",
                            .help = "wait no longer than 30s, 10m, 1h; then exit code 4"};
  const FlagSpec format = FormatFlag();
  std::vector<FlagSpec> ls_flags = FilterFlags(
      "labels.team = core AND create_time > \"2026-01-31T12:00:00Z\" AND NOT error.code = 3");
  ls_flags.push_back({.name = "state",
                      .value = "STATE",
                      .help = "only queued, running, succeeded, failed or cancelled ones"});
  ls_flags.push_back({.name = "n", .value = "COUNT", .help = "at most so many; 50"});
  ls_flags.push_back(format);
  return {{.name = "jobs ls",
           .positionals = "",
           .summary = "jobs, newest first",
           .flags = std::move(ls_flags),
           .run = &Ls},
          {.name = "jobs get",
           .positionals = "JOB",
           .summary = "all about a job",
           .flags = {format},
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Get},
          {.name = "jobs watch",
           .positionals = "JOB",
           .summary = "its events, from the first to its end; -o json: one object a line",
           .flags = {timeout, format},
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Watch},
          {.name = "jobs wait",
           .positionals = "JOB",
           .summary = "waits for its end, and ends as it did",
           .flags = {timeout, format},
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Wait},
          {.name = "jobs cancel",
           .positionals = "JOB...",
           .summary = "asks a job to stop",
           .positionals_min = 1,
           .positionals_max = 1000,
           .run = &Cancel},
          {.name = "jobs retry",
           .positionals = "JOB",
           .summary = "a new job for the work of one that failed or was cancelled",
           .flags = {format},
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Retry},
          {.name = "jobs rm",
           .positionals = "JOB...",
           .summary = "forgets ended jobs",
           .positionals_min = 1,
           .positionals_max = 1000,
           .run = &Rm}};
}

}  // namespace radiograph::cli
