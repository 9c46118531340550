#include "client/cli/local_files.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/names.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kTensors[] = ".safetensors";
constexpr char kIndex[] = "model.safetensors.index.json";
constexpr int64_t kIndexBytesMax = 64 << 20;

bool IsFile(const fs::path& path) {
  std::error_code ignored;  // what can't be read is no file here; opening it says why
  return fs::is_regular_file(path, ignored);
}

// The files that the shard index of a folder names.
absl::StatusOr<std::set<std::string>> Shards(const fs::path& index) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(index.string(), kIndexBytesMax));
  absl::StatusOr<Json> json = ParseJson(text, {.bytes_max = kIndexBytesMax});
  absl::Status broken = absl::InvalidArgumentError(
      absl::StrCat(index.string(), ": no shard index; {\"weight_map\": {TENSOR: FILE}} is one"));
  if (!json.ok() || !json->is_object() || !json->contains("weight_map")) return broken;
  std::set<std::string> shards;
  for (const auto& [tensor, file] : (*json)["weight_map"].items()) {
    if (!file.is_string()) return broken;
    std::string name = file.get<std::string>();
    // The index is a foreign file: it must not make us read elsewhere.
    if (!absl::EndsWith(name, kTensors) || absl::StrContains(name, '/')) return broken;
    shards.insert(name);
  }
  return shards;
}

absl::StatusOr<std::set<std::string>> TensorFiles(const fs::path& folder, v1::ArtifactKind kind) {
  if (kind == v1::MODEL && IsFile(folder / kIndex)) return Shards(folder / kIndex);
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (absl::EndsWith(name, kTensors) && IsFile(entry->path())) names.insert(name);
  }
  if (error) return ErrnoStatus(error.value(), "list", folder.string());
  if (names.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(folder.string(), " holds no .safetensors file"));
  }
  return names;
}

absl::StatusOr<std::vector<LocalFile>> FolderFiles(const fs::path& folder, v1::ArtifactKind kind) {
  ASSIGN_OR_RETURN(std::set<std::string> names, TensorFiles(folder, kind));
  if (kind == v1::MODEL && IsFile(folder / kIndex)) names.insert(kIndex);
  if (kind == v1::MODEL && IsFile(folder / "config.json")) names.insert("config.json");
  if (IsFile(folder / "names.json")) names.insert("names.json");
  std::vector<LocalFile> files;
  for (const std::string& name : names) files.push_back({name, (folder / name).string()});
  return files;
}

std::vector<LocalFile> SingleFile(const fs::path& path, v1::ArtifactKind kind) {
  std::vector<LocalFile> files = {
      {kind == v1::MODEL ? "model.safetensors" : "data.safetensors", path.string()}};
  fs::path names = path;
  names.replace_extension(".names.json");
  if (IsFile(names)) files.push_back({"names.json", names.string()});
  return files;
}

}  // namespace

bool IsPath(absl::string_view ref) {
  return ref == "." || ref == ".." || absl::StartsWith(ref, "./") || absl::StartsWith(ref, "../") ||
         absl::StartsWith(ref, "/") || absl::EndsWith(ref, kTensors);
}

std::string SuggestName(const std::string& given) {
  fs::path path = fs::absolute(given).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  std::string name = path.filename().string();
  if (absl::EndsWith(name, kTensors)) {
    std::string stem(absl::StripSuffix(name, kTensors));
    std::string folder = path.parent_path().filename().string();
    name = (stem == "model" || stem == "data") && !folder.empty() ? folder : stem;
  }
  for (const fs::path& part : path) {
    absl::string_view text = part.native();
    if (!absl::ConsumePrefix(&text, "models--")) continue;
    name = absl::StrReplaceAll(text, {{"--", "/"}});
  }
  return NameOf(name);
}

absl::StatusOr<LocalArtifact> FindFiles(const std::string& path, v1::ArtifactKind kind) {
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    return error && error != std::errc::no_such_file_or_directory
               ? ErrnoStatus(error.value(), "look at", path)
               : absl::NotFoundError(absl::StrCat("there is no file or folder ", path));
  }
  LocalArtifact artifact{.name = SuggestName(path), .files = {}};
  if (fs::is_directory(status)) {
    ASSIGN_OR_RETURN(artifact.files, FolderFiles(path, kind));
  } else {
    artifact.files = SingleFile(path, kind);
  }
  return artifact;
}

}  // namespace radiograph::cli
