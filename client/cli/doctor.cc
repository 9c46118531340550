// radiograph doctor
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/cli.h"
#include "client/cli/output.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr size_t kProblemsShown = 10'000;  // all are counted

// What the check found, as it will be printed.
struct Diagnosis {
  v1::CheckResponse last;
  TextTable problems{.columns = {"PROBLEM", "OF", "NEEDED BY", ""}, .rows = {}};
  Json json = Json::array();
};

absl::StatusOr<Diagnosis> Examine(Cli& cli, Client& client, bool digests) {
  Diagnosis diagnosis;
  absl::Status written;
  auto on_response = [&](const v1::CheckResponse& response) {
    cli.console.Bar("Checking", 0,
                    absl::StrCat(response.blobs(), " blobs, ", BytesText(response.bytes()), ", ",
                                 response.problems(), " problems"));
    if (!response.has_problem() || diagnosis.json.size() >= kProblemsShown) return;
    const v1::Problem& problem = response.problem();
    diagnosis.problems.rows.push_back({problem.reason(), Printable(problem.subject()),
                                       Printable(absl::StrJoin(problem.needed_by(), ", ")),
                                       Printable(problem.text())});
    absl::StatusOr<Json> json = MessageToJson(problem);
    written.Update(json.status());
    if (json.ok()) diagnosis.json.push_back(*std::move(json));
  };
  ASSIGN_OR_RETURN(diagnosis.last, client.Check(digests, on_response, cli.stop));
  RETURN_IF_ERROR(written);
  return diagnosis;
}

void SayCollected(Cli& cli, const v1::CollectResponse& collected, bool dry_run) {
  cli.console.Say(absl::StrCat(dry_run ? "Would forget " : "Forgot ", collected.jobs(), " jobs, ",
                               collected.memos(), " memos, ", collected.blobs(), " blobs of ", BytesText(collected.bytes()), "."));
}

absl::StatusOr<ExitCode> Doctor(Cli& cli, const Args& args) {
  ASSIGN_OR_RETURN(Format format, FormatOf(args));
  const bool dry_run = args.Has("dry-run");
  if (dry_run && !args.Has("collect")) return UsageError("--dry-run goes with --collect");
  ASSIGN_OR_RETURN(Client * client, cli.client(args));
  ASSIGN_OR_RETURN(const Diagnosis found, Examine(cli, *client, args.Has("digests")));
  const v1::CheckResponse& last = found.last;
  Json json = {{"healthy", last.problems() == 0},
               {"problems", found.json},
               {"problem_count", last.problems()},
               {"rows", last.rows()},
               {"blobs", last.blobs()},
               {"bytes_read", last.bytes()}};
  cli.console.Say(absl::StrCat("Looked at ", last.rows(), " artifacts and jobs, ", last.blobs(),
                               " blobs", args.Has("digests") ? ", every byte" : "", ": ",
                               last.problems() == 0 ? "all is well."
                                                    : absl::StrCat(last.problems(), " problems.")));
  if (args.Has("backup")) {
    ASSIGN_OR_RETURN(const v1::Backup backup, client->Backup(cli.stop));
    ASSIGN_OR_RETURN(json["backup"], MessageToJson(backup));
    cli.console.Say(absl::StrCat("Backup: ", Printable(backup.folder()),
                                 " on the server's machine, ", BytesText(backup.database_bytes()),
                                 " of rows and ", backup.blobs(), " blobs of ",
                                 BytesText(backup.blob_bytes()), "."));
  }
  if (args.Has("collect")) {
    ASSIGN_OR_RETURN(const v1::CollectResponse collected, client->Collect(dry_run, cli.stop));
    ASSIGN_OR_RETURN(json[dry_run ? "would_collect" : "collected"], MessageToJson(collected));
    SayCollected(cli, collected, dry_run);
  }
  if (format != Format::kTable || !found.problems.rows.empty()) {
    Print(cli.console.out(), format, found.problems, json);
  }
  return last.problems() == 0 ? ExitCode::kSuccess : ExitCode::kFailed;
}

}  // namespace

Command DoctorCommand() {
  return {.name = "doctor",
          .positionals = "",
          .summary = "whether all that the server stores is well; exit code 1 when it isn't",
          .flags = {{.name = "digests", .value = "", .help = "read every byte, too"},
                    {.name = "backup",
                     .value = "",
                     .help = "make a backup in the server's state folder, and say where"},
                    {.name = "collect",
                     .value = "",
                     .help = "forget now what the server's --keep-jobs and --keep-blobs allow"},
                    {.name = "dry-run",
                     .value = "",
                     .help = "say only what --collect would forget"},
                    FormatFlag()},
          .run = &Doctor};
}

}  // namespace radiograph::cli
