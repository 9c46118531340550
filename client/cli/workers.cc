// radiograph workers ls | drain | resume
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/cli.h"
#include "client/cli/output.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(30);  // as a worker that is told to end gives

std::string Note(const v1::Worker& worker) {
  std::vector<std::string> notes;
  if (worker.draining()) notes.push_back("drains: takes no more work");
  if (!worker.quarantine().empty()) notes.push_back(worker.quarantine());
  return absl::StrJoin(notes, "; ");
}

absl::StatusOr<ExitCode> Ls(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(std::vector<v1::Worker> workers, client->ListWorkers());
  TextTable table{.columns = {"SLOT", "STATE", "DEVICE", "MEMORY", "JOB", ""}, .rows = {}};
  Json json = Json::array();
  for (const v1::Worker& worker : workers) {
    table.rows.push_back({worker.slot(), v1::SlotState_Name(worker.state()),
                          worker.engine().device_model(), BytesText(worker.memory_bytes()),
                          worker.job(), Note(worker)});
    ASSIGN_OR_RETURN(json.emplace_back(), MessageToJson(worker));
  }
  Print(cli.console.out(), format, table, json);
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Drain(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(const absl::Duration grace, args.Duration("grace", kGrace));
  if (grace == absl::InfiniteDuration()) return UsageError("--grace needs an end");
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  for (const std::string& name : args.positionals()) {
    v1::DrainRequest request;
    request.set_name(name);
    absl::Duration rest = grace;
    request.mutable_grace()->set_seconds(absl::IDivDuration(rest, absl::Seconds(1), &rest));
    request.mutable_grace()->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(rest)));
    RETURN_IF_ERROR(client->DrainWorker(request));
    cli.console.Say(absl::StrCat(name, " takes no more work; what still runs there after ",
                                 absl::FormatDuration(grace), " goes back to the queue."));
  }
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Resume(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  for (const std::string& name : args.positionals()) {
    v1::DrainRequest request;
    request.set_name(name);
    request.set_resume(true);
    RETURN_IF_ERROR(client->DrainWorker(request));
    cli.console.Say(absl::StrCat(name, " takes work again."));
  }
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> WorkerCommands() {
  return {{.name = "workers ls",
           .positionals = "",
           .summary = "slots, what they run, and why they get no work",
           .flags = {FormatFlag()},
           .run = &Ls},
          {.name = "workers drain",
           .positionals = "NAME...",
           .summary = "gives a slot, or all slots of a worker, no more work",
           .flags = {{.name = "grace",
                      .value = "TIME",
                      .help = "that its jobs have to end, else they go back to the queue; 30s"}},
           .positionals_min = 1,
           .positionals_max = 1000,
           .run = &Drain},
          {.name = "workers resume",
           .positionals = "NAME...",
           .summary = "takes a drain back",
           .positionals_min = 1,
           .positionals_max = 1000,
           .run = &Resume}};
}

}  // namespace radiograph::cli
