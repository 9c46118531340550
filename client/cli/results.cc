// radiograph results get, radiograph report
#include "client/cli/results.h"

#include <spawn.h>
#include <sys/wait.h>

#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/cli/cli.h"
#include "client/cli/local_files.h"
#include "client/cli/out_folder.h"
#include "client/cli/summary.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/results/report.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<ExitCode> Get(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  if (!args.Has("out")) return UsageError("--out DIR is needed");
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(v1::Job job, client->GetJob(args.positionals()[0]));
  ASSIGN_OR_RETURN(OutFolder out, OutFolder::Make(args.Get("out")));
  RETURN_IF_ERROR(FetchResult(cli, *client, job, out, format));
  return ExitCode::kSuccess;
}

absl::Status Open(Cli& cli, const std::string& path) {
  const char* argv[] = {"xdg-open", path.c_str(), nullptr};
  pid_t pid = 0;
  int error = posix_spawnp(&pid, argv[0], nullptr, nullptr, const_cast<char**>(argv), environ);
  if (error == 0) return absl::OkStatus();
  cli.console.Say(
      absl::StrCat("No browser could be started (xdg-open: ", std::strerror(error), ")."));
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> Report(Cli& cli, const Args& args) {
  const std::string& what = args.positionals()[0];
  std::error_code ignored;
  const bool local = fs::is_directory(what, ignored) || IsPath(what);
  std::string path = args.Get("out");
  if (path.empty())
    path = local ? (fs::path(what) / "report.html").string()
                 : absl::StrCat("radiograph-", what, ".html");
  if (local) {
    RETURN_IF_ERROR(WriteReport(what, path));
  } else {
    ASSIGN_OR_RETURN(Client * client, cli.client(args));
    ASSIGN_OR_RETURN(v1::Job job, client->GetJob(what));
    ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::Make());
    RETURN_IF_ERROR(client->DownloadResult(job, folder.path(), cli.Transfer()));
    RETURN_IF_ERROR(WriteReport(folder.path(), path));
  }
  cli.console.out() << path << std::endl;
  if (args.Has("open")) RETURN_IF_ERROR(Open(cli, path));
  return ExitCode::kSuccess;
}

}  // namespace

absl::Status WriteReport(const std::string& folder, const std::string& path) {
  ASSIGN_OR_RETURN(std::string html, RenderReport(folder));
  return WriteFile(path, html);
}

absl::Status ShowBundle(Cli& cli, const OutFolder& out, const std::string& bundle, Format format) {
  ASSIGN_OR_RETURN(std::string folder, out.Keep(bundle));
  RETURN_IF_ERROR(PrintResult(cli.console, format, folder));
  if (!out.kept()) return absl::OkStatus();
  const std::string report = (fs::path(folder) / "report.html").string();
  RETURN_IF_ERROR(WriteReport(folder, report));
  cli.console.Say(absl::StrCat("Report: ", report));
  return absl::OkStatus();
}

absl::Status FetchResult(Cli& cli, Client& client, const v1::Job& job, const OutFolder& out,
                         Format format) {
  const std::string bundle = out.staging() + "/bundle";
  if (out.kept()) {
    RETURN_IF_ERROR(client.DownloadResult(job, bundle, cli.Transfer()));
    return ShowBundle(cli, out, bundle, format);
  }
  RETURN_IF_ERROR(MakeFolders(bundle));
  for (const v1::ArtifactFile& file : job.result()) {
    if (file.name() != "result.json") continue;
    RETURN_IF_ERROR(client.Download(file.blob(), bundle + "/result.json", cli.Transfer()));
  }
  return ShowBundle(cli, out, bundle, format);
}

std::vector<Command> ResultCommands() {
  return {{.name = "results get",
           .positionals = "JOB --out DIR",
           .summary = "brings a job's result: numbers, arrays, figures, report",
           .flags = {{.name = "out", .value = "DIR", .help = "where to"}, FormatFlag()},
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Get},
          {.name = "report",
           .positionals = "JOB|DIR",
           .summary = "writes the report of a result, one HTML file, and prints its path",
           .flags = {{.name = "out",
                      .value = "FILE",
                      .help = "where to; else DIR/report.html or radiograph-JOB.html"},
                     {.name = "open", .value = "", .help = "show it in the browser"}},
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Report}};
}

}  // namespace radiograph::cli
