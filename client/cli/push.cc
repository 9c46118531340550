#include "client/cli/push.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/cli/local_files.h"
#include "client/cli/series.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {

std::string RefOf(const v1::Artifact& artifact) {
  // An output of a job, job:ID/OUTPUT, has no version.
  return artifact.version() == 0 ? artifact.name()
                                 : absl::StrCat(artifact.name(), "@", artifact.version());
}

absl::Status ExplainNotFound(const absl::Status& status, const std::string& name) {
  std::error_code ignored;
  if (!absl::IsNotFound(status) || !std::filesystem::exists(name, ignored)) return status;
  return absl::NotFoundError(absl::StrCat(status.message(), "; for the path write ./", name));
}

namespace {

absl::StatusOr<v1::Artifact> Push(Cli& cli, Client& client, const std::string& path,
                                  const PushOptions& options, std::set<std::string>& said) {
  ASSIGN_OR_RETURN(LocalArtifact local, FindFiles(path, options.kind));
  std::vector<std::string> paths;
  for (const LocalFile& file : local.files) paths.push_back(file.path);
  ASSIGN_OR_RETURN(std::vector<v1::Blob> blobs, client.Upload(paths, cli.Transfer()));
  v1::CreateArtifactRequest request;
  request.set_name(options.name.empty() ? local.name : options.name);
  request.set_kind(options.kind);
  request.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  request.mutable_roles()->insert(options.roles.begin(), options.roles.end());
  for (size_t i = 0; i < blobs.size(); ++i) {
    v1::ArtifactFile* file = request.add_files();
    file->set_name(local.files[i].name);
    *file->mutable_blob() = blobs[i];
  }
  absl::StatusOr<v1::Artifact> artifact = client.CreateArtifact(request);
  if (!artifact.ok()) {
    absl::Status status(artifact.status().code(),
                        absl::StrCat(path, ": ", artifact.status().message()));
    return FromServer(artifact.status()) && absl::IsUnavailable(status) ? artifact.status()
                                                                        : status;
  }
  cli.console.Say(
      absl::StrCat(path, " is ", v1::ArtifactKind_Name(options.kind), " ", RefOf(*artifact)));
  if (options.name.empty() && artifact->version() > 1) {
    cli.console.Say(absl::StrCat("  ", artifact->name(), " had versions before this one; ",
                                 "if it is another model, give it a --name"));
  }
  SayNotes(cli, local.notes, said);
  SayNotes(cli, {artifact->notes().begin(), artifact->notes().end()}, said);
  return artifact;
}

}  // namespace

void SayNotes(Cli& cli, const std::vector<std::string>& notes, std::set<std::string>& said) {
  for (const std::string& note : notes) {
    if (said.insert(note).second) cli.console.Say(absl::StrCat("  ", note));
  }
}

absl::StatusOr<std::vector<v1::Artifact>> PushAll(Cli& cli, Client& client, const std::string& path,
                                                  bool list, const PushOptions& options) {
  ASSIGN_OR_RETURN(std::vector<SeriesModel> series, FindSeries(path, options.kind, list));
  std::vector<v1::Artifact> artifacts;
  std::set<std::string> said;
  for (const SeriesModel& model : series) {
    PushOptions one = options;
    if (model.step.has_value()) {
      if (one.name.empty()) one.name = SeriesName(path);
      one.labels["step"] = absl::StrCat(*model.step);
    }
    ASSIGN_OR_RETURN(artifacts.emplace_back(), Push(cli, client, model.path, one, said));
  }
  return artifacts;
}

absl::StatusOr<std::vector<std::string>> PushIfPath(Cli& cli, Client& client,
                                                    const std::string& ref, bool list,
                                                    const PushOptions& options) {
  if (!IsUtf8(ref) && !IsPath(ref)) return UsageError(absl::StrCat(ref, " is not UTF-8"));
  if (!IsPath(ref)) return std::vector<std::string>{ref};
  ASSIGN_OR_RETURN(std::vector<v1::Artifact> artifacts, PushAll(cli, client, ref, list, options));
  std::vector<std::string> refs;
  for (const v1::Artifact& artifact : artifacts) refs.push_back(RefOf(artifact));
  return refs;
}

}  // namespace radiograph::cli
