#include "core/artifact/resolve.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/architecture/config.h"
#include "core/artifact/names.h"
#include "core/base/digest.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/catalog/cache_key.h"
#include "core/safetensors/header.h"

namespace radiograph {
namespace {

absl::Status CheckNames(ArtifactKind kind, absl::Span<const SourceFile> files) {
  if (static_cast<int64_t>(files.size()) > kArtifactFilesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.size(), " files; at most ", kArtifactFilesMax, " are allowed"));
  }
  std::set<std::string> seen;
  bool tensors = false;
  for (const SourceFile& file : files) {
    if (!seen.insert(file.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("the file name ", JsonString(file.name), " appears twice"));
    }
    if (kind == ArtifactKind::kResult) continue;
    bool is_tensors = absl::EndsWith(file.name, ".safetensors");
    bool of_model =
        kind == ArtifactKind::kModel && (file.name == kConfigFile || file.name == kIndexFile);
    if (!is_tensors && !of_model && file.name != kNamesFile) {
      return absl::InvalidArgumentError(
          absl::StrCat("the file ", JsonString(file.name), " has no place in ",
                       kind == ArtifactKind::kModel
                           ? "a MODEL; *.safetensors, config.json, model.safetensors.index.json"
                           : "a DATASET; *.safetensors",
                       " and names.json have"));
    }
    tensors |= is_tensors;
  }
  if (!tensors && kind != ArtifactKind::kResult) {
    return absl::InvalidArgumentError("no *.safetensors file; one at least is needed");
  }
  return absl::OkStatus();
}

absl::Status CheckRoles(const std::map<std::string, std::string>& roles,
                        const TensorFiles& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, file] : tensors.file_of) names.push_back(name);
  for (const auto& [role, tensor] : roles) {
    if (tensors.file_of.contains(tensor)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "the role ", JsonString(role), " names the tensor ", JsonString(tensor),
        ", which is in no file; ",
        names.empty()
            ? "there are no tensors"
            : absl::StrCat("nearest: ", absl::StrJoin(NearestNames(tensor, names), ", "))));
  }
  return absl::OkStatus();
}

// One byte more than is read of it says that it is too long.
absl::StatusOr<std::string> ReadConfigFile(const SourceFile& file) {
  ASSIGN_OR_RETURN(const UniqueFd fd, file.open());
  ASSIGN_OR_RETURN(const int64_t size, FileSize(fd.get(), file.name));
  std::string text(std::min(size, kConfigBytesMax + 1), '\0');
  RETURN_IF_ERROR(ReadAt(fd.get(), 0, absl::MakeSpan(text), file.name));
  if (text.empty()) text.push_back(' ');  // an empty file is no missing one
  return text;
}

void AddSecondNames(const std::vector<safetensors::TensorInfo>& tensors,
                    std::vector<std::string>& notes) {
  std::vector<std::string> second;
  for (const safetensors::TensorInfo& tensor : tensors) {
    if (tensor.same_as.empty()) continue;
    second.push_back(absl::StrCat(tensor.name, " for ", tensor.same_as));
  }
  if (second.empty()) return;
  notes.push_back(absl::StrCat("Second names of the same bytes: ", SomeOf(second), "."));
}

}  // namespace

absl::StatusOr<ResolvedArtifact> ResolveArtifact(ArtifactKind kind,
                                                 absl::Span<const SourceFile> files,
                                                 const std::map<std::string, std::string>& roles) {
  RETURN_IF_ERROR(CheckNames(kind, files));
  ResolvedArtifact artifact;
  std::vector<NamedBlob> blobs;
  for (const SourceFile& file : files) blobs.push_back({file.name, file.sha256});
  if (kind != ArtifactKind::kResult) {
    ASSIGN_OR_RETURN(TensorFiles tensors, ReadTensorFiles(kind, files));
    artifact.notes = std::move(tensors.notes);
    std::string config;
    for (const SourceFile& file : files) {
      if (file.name == kConfigFile) {
        ASSIGN_OR_RETURN(config, ReadConfigFile(file));
      } else if (file.name == kNamesFile) {
        ASSIGN_OR_RETURN(const std::string names, ReadSmall(file, kNamesBytesMax));
        RETURN_IF_ERROR(ParseNames(names).status());
      }
    }
    RETURN_IF_ERROR(CheckRoles(roles, tensors));
    AddSecondNames(tensors.tensors, artifact.notes);
    if (kind == ArtifactKind::kModel) {
      ResolvedArchitecture resolved = ResolveArchitecture(tensors.tensors, config, tensors.missing);
      artifact.header.architecture = std::move(resolved.architecture);
      std::move(resolved.notes.begin(), resolved.notes.end(), std::back_inserter(artifact.notes));
    }
    artifact.header.tensors = std::move(tensors.tensors);
    artifact.header.missing = std::move(tensors.missing);
    artifact.file_of = std::move(tensors.file_of);
    artifact.header.roles = roles;
  }
  ASSIGN_OR_RETURN(artifact.digest, InputDigest(std::move(blobs), roles));
  return artifact;
}

}  // namespace radiograph
