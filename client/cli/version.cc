// radiograph version, radiograph completion
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/cli.h"
#include "client/cli/completion.h"
#include "client/cli/console.h"
#include "client/cli/output.h"
#include "client/cli/times.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

// What is used of a limit; 0 is none.
template <typename ToText>
std::string UsedOf(int64_t used, int64_t limit, ToText text) {
  return limit == 0 ? absl::StrCat(text(used)) : absl::StrCat(text(used), " of ", text(limit));
}

// What the caller's tenant has of what it may have.
void AddUsage(const v1::ServerInfo& info, TextTable& table) {
  if (!info.has_usage()) return;
  const v1::Usage& usage = info.usage();
  const v1::Limits& limits = info.limits();
  const auto number = [](int64_t value) { return value; };
  table.rows.push_back({"your jobs that wait",
                        UsedOf(usage.queued_jobs(), limits.queued_jobs_per_tenant_max(), number)});
  table.rows.push_back(
      {"your jobs that run",
       UsedOf(usage.running_jobs(), limits.running_jobs_per_tenant_max(), number)});
  table.rows.push_back(
      {"your stored bytes",
       UsedOf(usage.stored_bytes(), limits.stored_bytes_per_tenant_max(), &BytesText)});
  table.rows.push_back({"your transfers", UsedOf(usage.blob_streams(),
                                                 limits.blob_streams_per_tenant_max(), number)});
  table.rows.push_back(
      {"your waits", UsedOf(usage.waits(), limits.waits_per_tenant_max(), number)});
  table.rows.push_back({"least free disk", BytesText(limits.disk_free_bytes_min())});
}

// The number alone, or with --server what the server says of itself.
absl::StatusOr<ExitCode> Version(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  TextTable table{.columns = {}, .rows = {{"radiograph " RADIOGRAPH_VERSION}}};
  Json json = {{"client", {{"version", RADIOGRAPH_VERSION}}}};
  if (args.Has("server")) {
    ASSIGN_OR_RETURN(Client * client, cli.client(args));
    ASSIGN_OR_RETURN(v1::ServerInfo info, client->GetInfo());
    ASSIGN_OR_RETURN(json["server"], MessageToJson(info));
    table.rows.push_back({"server", info.version()});
    table.rows.push_back({"build", info.build()});
    table.rows.push_back({"started", TimeText(info.start_time())});
    table.rows.push_back({"who may ask", absl::StrJoin(info.auth_modes(), ", ")});
    for (const v1::Device& device : info.devices()) {
      table.rows.push_back({"device", absl::StrCat(device.kind(), ", ", device.model(), ", ",
                                                   BytesText(device.memory_bytes()))});
    }
    AddUsage(info, table);
  }
  Print(cli.console.out(), format, table, json);
  return ExitCode::kSuccess;
}

absl::StatusOr<ExitCode> Completion(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(std::string script, CompletionScript(args.positionals()[0], AllCommands()));
  cli.console.out() << script;
  return ExitCode::kSuccess;
}

}  // namespace

std::vector<Command> ProgramCommands() {
  return {DoctorCommand(),
          {.name = "version",
           .positionals = "[--server]",
           .summary = "of this program, and what the server is and has",
           .flags = {{.name = "server", .value = "", .help = "ask the server too"}, FormatFlag()},
           .run = &Version},
          {.name = "completion",
           .positionals = "bash|zsh|fish",
           .summary = "a script for `source <(radiograph completion bash)`",
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Completion}};
}

}  // namespace radiograph::cli
