#include "core/artifact/resolve.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/artifact/names.h"
#include "core/base/digest.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/catalog/cache_key.h"
#include "core/safetensors/header.h"

namespace radiograph {
namespace {

constexpr absl::string_view kConfig = "config.json";
constexpr absl::string_view kIndex = "model.safetensors.index.json";
constexpr absl::string_view kNames = "names.json";

absl::StatusOr<std::string> ReadSmall(const SourceFile& file, int64_t bytes_max) {
  ASSIGN_OR_RETURN(UniqueFd fd, file.open());
  ASSIGN_OR_RETURN(int64_t size, FileSize(fd.get(), file.name));
  if (size > bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.name, " has ", size, " bytes; at most ", bytes_max, " are allowed"));
  }
  std::string text(size, '\0');
  RETURN_IF_ERROR(ReadAt(fd.get(), 0, absl::MakeSpan(text), file.name));
  return text;
}

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
    bool of_model = kind == ArtifactKind::kModel && (file.name == kConfig || file.name == kIndex);
    if (!is_tensors && !of_model && file.name != kNames) {
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

// The tensors of all files by name, and the file of each.
struct Tensors {
  std::vector<safetensors::TensorInfo> all;
  std::map<std::string, std::string> file_of;
};

absl::StatusOr<Tensors> ReadTensors(absl::Span<const SourceFile> files) {
  Tensors tensors;
  for (const SourceFile& file : files) {
    if (!absl::EndsWith(file.name, ".safetensors")) continue;
    ASSIGN_OR_RETURN(UniqueFd fd, file.open());
    ASSIGN_OR_RETURN(safetensors::Header header, safetensors::ReadHeader(fd.get(), file.name));
    for (safetensors::TensorInfo& tensor : header.tensors) {
      auto [other, fresh] = tensors.file_of.emplace(tensor.name, file.name);
      if (!fresh) {
        return absl::InvalidArgumentError(absl::StrCat("the tensor ", JsonString(tensor.name),
                                                       " is in ", other->second, " and in ",
                                                       file.name));
      }
      tensors.all.push_back(std::move(tensor));
    }
  }
  std::sort(tensors.all.begin(), tensors.all.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return tensors;
}

// {"weight_map": {tensor: file}} of a sharded model.
absl::Status CheckIndex(absl::string_view text, const Tensors& tensors) {
  absl::StatusOr<Json> index = ParseJson(text, {.bytes_max = kIndexBytesMax});
  if (!index.ok())
    return absl::InvalidArgumentError(absl::StrCat(kIndex, ": ", index.status().message()));
  auto map = index->is_object() ? index->find("weight_map") : index->end();
  if (!index->is_object() || map == index->end() || !map->is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kIndex, ": weight_map is missing or not an object"));
  }
  for (const auto& [name, file] : map->items()) {
    auto found = tensors.file_of.find(name);
    if (!file.is_string() || found == tensors.file_of.end() ||
        found->second != file.get<std::string>()) {
      return absl::InvalidArgumentError(absl::StrCat(
          kIndex, " says that ", JsonString(name), " is in ", JsonExcerpt(file.dump()), "; it is ",
          found == tensors.file_of.end() ? "in no uploaded file" : "in " + found->second));
    }
  }
  if (map->size() != tensors.file_of.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        kIndex, " names ", map->size(), " tensors; the files hold ", tensors.file_of.size()));
  }
  return absl::OkStatus();
}

absl::Status CheckRoles(const std::map<std::string, std::string>& roles, const Tensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, file] : tensors.file_of) names.push_back(name);
  for (const auto& [role, tensor] : roles) {
    if (tensors.file_of.contains(tensor)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "the role ", JsonString(role), " names the tensor ", JsonString(tensor),
        ", which is in no file; nearest: ", absl::StrJoin(NearestNames(tensor, names), ", ")));
  }
  return absl::OkStatus();
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
    std::string config;
    ASSIGN_OR_RETURN(Tensors tensors, ReadTensors(files));
    for (const SourceFile& file : files) {
      if (file.name == kConfig) {
        ASSIGN_OR_RETURN(config, ReadSmall(file, kConfigBytesMax));
      } else if (file.name == kIndex) {
        ASSIGN_OR_RETURN(std::string index, ReadSmall(file, kIndexBytesMax));
        RETURN_IF_ERROR(CheckIndex(index, tensors));
      } else if (file.name == kNames) {
        ASSIGN_OR_RETURN(std::string names, ReadSmall(file, kNamesBytesMax));
        RETURN_IF_ERROR(ParseNames(names).status());
      }
    }
    RETURN_IF_ERROR(CheckRoles(roles, tensors));
    if (kind == ArtifactKind::kModel) {
      ASSIGN_OR_RETURN(artifact.header.architecture, ResolveArchitecture(tensors.all, config));
    }
    artifact.header.tensors = std::move(tensors.all);
    artifact.file_of = std::move(tensors.file_of);
    artifact.header.roles = roles;
  }
  ASSIGN_OR_RETURN(artifact.digest,
                   InputDigest(std::move(blobs), artifact.header.architecture, roles));
  return artifact;
}

}  // namespace radiograph
