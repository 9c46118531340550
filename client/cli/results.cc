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
#include "core/base/disk_room.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/results/bundle.h"
#include "core/results/report.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kReport[] = "report.html";

absl::StatusOr<ExitCode> Get(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  if (!args.Has("out")) return UsageError("--out DIR is needed");
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(v1::Job job, client->GetJob(args.positionals()[0]));
  ASSIGN_OR_RETURN(OutFolder out, OutFolder::Make(args.Get("out"), {.force = args.Has("force")}));
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

// The report of the result in a folder, as the file `path`; empty: beside the result.
absl::StatusOr<std::string> ReportOfFolder(const std::string& folder, const std::string& path,
                                           bool force) {
  ASSIGN_OR_RETURN(const std::string html, RenderReport(folder));
  if (path.empty()) {
    RETURN_IF_ERROR(AddToResult(folder, kReport, html, force));
    return (fs::path(folder) / kReport).string();
  }
  OutOptions options{.force = force};
  ASSIGN_OR_RETURN(const std::vector<std::string> files, BundleFiles(folder));
  for (const std::string& file : files) {
    options.inputs.push_back((fs::path(folder) / file).string());
  }
  RETURN_IF_ERROR(WriteOutFile(path, html, options));
  return path;
}

int64_t BytesOf(const v1::Job& job) {
  int64_t bytes = 0;
  for (const v1::ArtifactFile& file : job.result()) bytes += file.blob().size();
  return bytes;
}

absl::StatusOr<std::string> ReportOfJob(Cli& cli, const Args& args, const std::string& id,
                                        const std::string& path) {
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(v1::Job job, client->GetJob(id));
  ASSIGN_OR_RETURN(StagingFolder folder, StagingFolder::Make());
  const std::string bundle = folder.path() + "/bundle";
  RETURN_IF_ERROR(CheckRoom(folder.path(), BytesOf(job), "the result"));
  RETURN_IF_ERROR(client->DownloadResult(job, bundle, cli.Transfer()));
  return ReportOfFolder(bundle, path.empty() ? absl::StrCat("radiograph-", id, ".html") : path,
                        args.Has("force"));
}

absl::StatusOr<ExitCode> Report(Cli& cli, const Args& args) {
  const std::string& what = args.positionals()[0];
  std::error_code ignored;
  const bool local = fs::is_directory(what, ignored) || IsPath(what);
  absl::StatusOr<std::string> path = local
                                         ? ReportOfFolder(what, args.Get("out"), args.Has("force"))
                                         : ReportOfJob(cli, args, what, args.Get("out"));
  RETURN_IF_ERROR(path.status());
  cli.console.out() << *path << std::endl;
  if (args.Has("open")) RETURN_IF_ERROR(Open(cli, *path));
  return ExitCode::kSuccess;
}

// What a result is without its report is kept when that can't be made.
absl::Status AddReport(const std::string& bundle) {
  ASSIGN_OR_RETURN(const std::string html, RenderReport(bundle));
  const std::string path = absl::StrCat(bundle, "/", kReport);
  RETURN_IF_ERROR(CheckRoom(bundle, static_cast<int64_t>(html.size()), "the report"));
  return WriteFile(path, html);
}

// All of a result that is kept, else what is shown of it.
absl::Status Download(Cli& cli, Client& client, const v1::Job& job, const OutFolder& out,
                      const std::string& bundle) {
  if (out.kept()) {
    RETURN_IF_ERROR(CheckRoom(out.staging(), BytesOf(job), "the result"));
    return client.DownloadResult(job, bundle, cli.Transfer());
  }
  RETURN_IF_ERROR(MakeFolders(bundle));
  for (const v1::ArtifactFile& file : job.result()) {
    if (file.name() != "result.json") continue;
    RETURN_IF_ERROR(client.Download(file.blob(), bundle + "/result.json", cli.Transfer()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ShowBundle(Cli& cli, const OutFolder& out, const std::string& bundle, Format format) {
  const absl::Status report = out.kept() ? AddReport(bundle) : absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string folder, out.Keep(bundle));
  RETURN_IF_ERROR(PrintResult(cli.console, format, folder));
  if (!out.kept()) return absl::OkStatus();
  RETURN_IF_ERROR(report);
  cli.console.Say(absl::StrCat("Report: ", (fs::path(folder) / kReport).string()));
  return absl::OkStatus();
}

absl::Status FetchResult(Cli& cli, Client& client, const v1::Job& job, const OutFolder& out,
                         Format format) {
  const std::string bundle = out.staging() + "/bundle";
  absl::Status status = Download(cli, client, job, out, bundle);
  if (status.ok()) status = ShowBundle(cli, out, bundle, format);
  return out.Explain(status);
}

std::vector<Command> ResultCommands() {
  return {{.name = "results get",
           .positionals = "JOB --out DIR",
           .summary = "brings a job's result: numbers, arrays, figures, report",
           .flags = {{.name = "out",
                      .value = "DIR",
                      .help = "where to: a new folder, an empty one, or that of another result"},
                     ForceFlag(),
                     FormatFlag()},
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Get},
          {.name = "report",
           .positionals = "JOB|DIR",
           .summary = "writes the report of a result, one HTML file, and prints its path",
           .flags = {{.name = "out",
                      .value = "FILE",
                      .help = "where to; else DIR/report.html or radiograph-JOB.html"},
                     ForceFlag(),
                     {.name = "open", .value = "", .help = "show it in the browser"}},
           .positionals_min = 1,
           .positionals_max = 1,
           .run = &Report}};
}

}  // namespace radiograph::cli
