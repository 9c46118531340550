#include "client/cli/local_run.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <iterator>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/cli/describe.h"
#include "client/cli/local_files.h"
#include "client/cli/out_folder.h"
#include "client/cli/push.h"
#include "client/cli/results.h"
#include "client/cli/series.h"
#include "core/artifact/resolve.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/process/compute_process.h"
#include "core/process/job_folder.h"
#include "core/process/prepare_job.h"

namespace radiograph::cli {
namespace {

// What tells one state of a file from another without reading it.
struct FileState {
  dev_t device;
  ino_t number;
  off_t size;
  int64_t seconds, nanoseconds;  // of the last change
  bool operator==(const FileState&) const = default;
};

absl::StatusOr<FileState> StateOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "can't look at", path);
  return FileState{info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec,
                   info.st_mtim.tv_nsec};
}

struct Inputs {
  std::map<std::string, std::vector<GivenArtifact>> given;
  std::map<std::string, std::string> blob_paths;  // by SHA-256
  std::map<std::string, FileState> states;        // by path, from before they were read
};

// The files are read where they lie: one that is another by now has given the result bytes of both.
absl::Status CheckUnchanged(const Inputs& inputs) {
  for (const auto& [path, state] : inputs.states) {
    absl::StatusOr<FileState> now = StateOf(path);
    if (now.ok() && *now == state) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(path, now.ok() ? " was changed" : " was taken away",
                     " while it was read; run this again, with a copy if it goes on changing"));
  }
  return absl::OkStatus();
}

// `notes` gets what there is to say about the files.
absl::StatusOr<GivenArtifact> Resolve(const std::string& path, ArtifactKind kind,
                                      const std::map<std::string, std::string>& roles,
                                      Inputs& inputs, std::vector<std::string>& notes) {
  ASSIGN_OR_RETURN(LocalArtifact local, FindFiles(path, ToProto(kind)));
  GivenArtifact artifact{.label = path, .kind = kind, .files = {}, .header = {}, .digest = ""};
  std::vector<SourceFile> sources;
  for (const LocalFile& file : local.files) {
    ASSIGN_OR_RETURN(const FileState state, StateOf(file.path));
    inputs.states.emplace(file.path, state);
    ASSIGN_OR_RETURN(FileDigest digest, Sha256OfFile(file.path));
    inputs.blob_paths[digest.sha256] = file.path;
    artifact.files.push_back({file.name, digest.sha256});
    sources.push_back(
        {file.name, digest.sha256, [from = file.path] { return OpenFile(from, O_RDONLY); }});
  }
  absl::StatusOr<ResolvedArtifact> resolved = ResolveArtifact(kind, sources, roles);
  if (!resolved.ok()) {
    return absl::Status(resolved.status().code(),
                        absl::StrCat(path, ": ", resolved.status().message()));
  }
  notes = std::move(local.notes);
  std::move(resolved->notes.begin(), resolved->notes.end(), std::back_inserter(notes));
  artifact.header = std::move(resolved->header);
  artifact.digest = std::move(resolved->digest);
  return artifact;
}

absl::StatusOr<Inputs> ResolveAll(Cli& cli, const LocalRun& run) {
  Inputs inputs;
  std::set<std::string> said;
  for (const auto& [name, path] : run.inputs) {
    if (!IsPath(path)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "inputs.", name, " is ", path, "; --local reads files only: ./x, /x or x.safetensors"));
    }
    const InputSpec* input = run.spec.FindInput(name);
    const ArtifactKind kind = input == nullptr ? ArtifactKind::kModel : input->kind;
    const auto mapped = run.roles.find(name);
    const auto roles =
        mapped == run.roles.end() ? std::map<std::string, std::string>() : mapped->second;
    const bool list = input != nullptr && input->options.list;
    ASSIGN_OR_RETURN(std::vector<SeriesModel> series, FindSeries(path, ToProto(kind), list));
    for (const SeriesModel& model : series) {
      std::vector<std::string> notes;
      ASSIGN_OR_RETURN(inputs.given[name].emplace_back(),
                       Resolve(model.path, kind, roles, inputs, notes));
      SayNotes(cli, notes, said);
    }
  }
  return inputs;
}

// A process that can't be started is no fault of the input, whatever its code.
absl::StatusOr<std::unique_ptr<ComputeProcess>> StartCompute(const Cli& cli, int64_t threads) {
  ComputeOptions options{.binary = cli.surroundings.compute_program, .threads = threads};
  if (options.binary.empty()) {
    absl::StatusOr<std::string> beside = SiblingProgram("radiograph-compute");
    if (!beside.ok()) return absl::InternalError(beside.status().message());
    options.binary = *std::move(beside);
  }
  absl::StatusOr<std::unique_ptr<ComputeProcess>> compute = ComputeProcess::Start(options);
  if (compute.ok() || absl::IsResourceExhausted(compute.status())) return compute;
  return absl::InternalError(compute.status().message());
}

// How a run that left no result ends, said on stderr.
ExitCode ReportFailure(Cli& cli, const RunOutcome& outcome, const std::string& memory_help) {
  switch (outcome.end) {
    case RunEnd::kCancelled:
      cli.console.Say("radiograph: cancelled");
      return ExitCode::kCancelled;
    case RunEnd::kCrashed: {
      absl::string_view tail = absl::StripTrailingAsciiWhitespace(outcome.stderr_tail);
      cli.console.Say(absl::StrCat(
          "radiograph: the compute process died: ", outcome.status.message(),
          tail.empty() ? "" : "; its last words: ", tail.substr(tail.rfind('\n') + 1)));
      return ExitCode::kFailed;
    }
    case RunEnd::kOutOfMemory:
      cli.console.Say(absl::StrCat("radiograph: ", outcome.status.message(), "; ", memory_help));
      return ExitCode::kExhausted;
    case RunEnd::kFinished:
      break;
  }
  cli.console.Say(absl::StrCat("radiograph: ", outcome.status.message()));
  return ExitCodeOfJob(outcome.status.code());
}

absl::StatusOr<ExitCode> RunIn(Cli& cli, const LocalRun& run, const OutFolder& out) {
  ASSIGN_OR_RETURN(Inputs inputs, ResolveAll(cli, run));
  ASSIGN_OR_RETURN(PreparedJob job, PrepareJob(run.spec, run.params, run.seed, inputs.given));
  for (const std::string& note : job.plan.notes) cli.console.Say(note);
  const std::string folder = out.staging() + "/job";
  RETURN_IF_ERROR(MakeJobFolder(folder, job.request, inputs.blob_paths, &LinkToFile));
  ASSIGN_OR_RETURN(std::unique_ptr<ComputeProcess> compute, StartCompute(cli, run.threads));
  RunOutcome outcome = compute->Run(
      folder, [] {},
      [&](const Progress& progress) {
        cli.console.Bar("Running", progress.fraction,
                        absl::StrCat(progress.phase, " ", progress.message));
      },
      cli.stop, /*keeper=*/nullptr);
  cli.console.EndBar();
  if (outcome.end != RunEnd::kCancelled) RETURN_IF_ERROR(CheckUnchanged(inputs));
  if (outcome.end != RunEnd::kFinished || !outcome.status.ok()) {
    outcome.status = out.Explain(outcome.status);
    return ReportFailure(cli, outcome, job.request.memory_help);
  }
  RETURN_IF_ERROR(ShowBundle(cli, out, folder + "/out", run.format));
  return ExitCode::kSuccess;
}

}  // namespace

absl::StatusOr<ExitCode> RunLocally(Cli& cli, const LocalRun& run) {
  ASSIGN_OR_RETURN(OutFolder out, OutFolder::Make(run.out, {.force = run.force,
                                                            .inputs = InputPaths(run.inputs)}));
  absl::StatusOr<ExitCode> code = RunIn(cli, run, out);
  if (!code.ok()) return out.Explain(code.status());
  return code;
}

}  // namespace radiograph::cli
