#include "client/cli/local_files.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "client/cli/result_sign.h"
#include "core/artifact/tensor_files.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/names.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kTensors[] = ".safetensors";
constexpr int64_t kRevisionBytesMax = 256;  // of a file below refs/
constexpr size_t kShownMax = 3;

constexpr char kResultTensors[] = "arrays.safetensors";

bool IsFile(const fs::path& path) {
  std::error_code ignored;  // what can't be read is no file here; opening it says why
  return fs::is_regular_file(path, ignored);
}

bool IsFolder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

fs::path FolderOf(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

// The names of what lies in a folder, ascending.
absl::StatusOr<std::vector<std::string>> EntriesOf(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return ErrnoStatus(error.value(), "list", folder.string());
  std::sort(names.begin(), names.end());
  return names;
}

// Other programs' files of weights, by the ends of their names.
bool IsForeign(absl::string_view name) {
  constexpr absl::string_view kEnds[] = {".bin",  ".pt",    ".pth",  ".ckpt",   ".pkl",
                                         ".gguf", ".h5",    ".hdf5", ".npz",    ".npy",
                                         ".onnx", ".keras", ".pb",   ".msgpack"};
  return std::any_of(std::begin(kEnds), std::end(kEnds),
                     [&](absl::string_view end) { return absl::EndsWith(name, end); });
}

// Why a folder without a file of tensors is no artifact.
absl::Status NoTensors(const fs::path& folder, const std::vector<std::string>& entries) {
  std::vector<std::string> inside, foreign;
  for (const std::string& name : entries) {
    const fs::path path = folder / name;
    if (absl::EndsWith(name, kTensors) && fs::is_symlink(path)) {
      return absl::InvalidArgumentError(absl::StrCat(path.string(), " is a link to ",
                                                     fs::read_symlink(path).string(),
                                                     ", which is not there"));
    }
    if (IsFolder(path) && HoldsTensors(path)) inside.push_back(name);
    if (IsForeign(name)) foreign.push_back(name);
  }
  std::string why = absl::StrCat(folder.string(), " holds no .safetensors file");
  if (!inside.empty()) {
    absl::StrAppend(&why, "; the folders ", SomeOf(inside, kShownMax),
                    " in it do: name the one that is meant");
  }
  if (!foreign.empty()) {
    absl::StrAppend(&why, "; ", SomeOf(foreign, kShownMax),
                    " can't be read: save the tensors as safetensors (safetensors.torch.save_file, "
                    "safetensors.numpy.save_file)");
  }
  if (std::find(entries.begin(), entries.end(), kIndexFile) != entries.end()) {
    absl::StrAppend(&why, "; the files that ", kIndexFile, " names are not there");
  }
  return absl::InvalidArgumentError(why);
}

// The root of a model in the cache of Hugging Face holds its revisions below snapshots/; refs/main
// names the one that is meant.
absl::StatusOr<fs::path> FollowCache(const fs::path& folder, std::vector<std::string>& notes) {
  const fs::path snapshots = folder / "snapshots";
  if (!IsFolder(snapshots) || HoldsTensors(folder)) return folder;
  if (IsFile(folder / "refs" / "main")) {
    ASSIGN_OR_RETURN(std::string text,
                     ReadFile((folder / "refs" / "main").string(), kRevisionBytesMax));
    const std::string revision(absl::StripAsciiWhitespace(text));
    const bool is_name = !revision.empty() && revision.find('/') == revision.npos &&
                         revision != "." && revision != "..";
    if (!is_name || !IsFolder(snapshots / revision)) {
      return absl::InvalidArgumentError(
          absl::StrCat(folder.string(), ": refs/main names the revision ", JsonExcerpt(revision),
                       ", which is not in snapshots/; download the model again, or name a folder "
                       "of snapshots/"));
    }
    notes.push_back(absl::StrCat("The revision ", revision, ", which refs/main names, is read."));
    return snapshots / revision;
  }
  ASSIGN_OR_RETURN(std::vector<std::string> revisions, EntriesOf(snapshots));
  std::erase_if(revisions, [&](const std::string& name) { return !IsFolder(snapshots / name); });
  if (revisions.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder.string(), " holds ", revisions.size(),
                     " revisions in snapshots/ and no refs/main that chooses",
                     revisions.empty() ? "" : "; name one of them: ",
                     revisions.empty() ? "" : SomeOf(revisions, kShownMax)));
  }
  notes.push_back(absl::StrCat("The revision ", revisions[0], ", the only one, is read."));
  return snapshots / revisions[0];
}

// What ReadTensorFiles takes of a folder.
absl::Status AddFolder(const fs::path& folder, v1::ArtifactKind kind, LocalArtifact& artifact) {
  ASSIGN_OR_RETURN(const std::vector<std::string> entries, EntriesOf(folder));
  const bool is_model = kind == v1::MODEL;
  std::vector<SourceFile> sources;
  bool tensors = false;
  for (const std::string& name : entries) {
    const bool small =
        name == kNamesFile || (is_model && (name == kIndexFile || name == kConfigFile));
    const std::string path = (folder / name).string();
    if (small ? !IsFile(path) : !IsTensorFile(path)) continue;
    tensors = tensors || !small;
    sources.push_back(
        {name, "", [path = (folder / name).string()] { return OpenFile(path, O_RDONLY); }});
  }
  if (!tensors && IsResultFolder(folder.string())) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder.string(), " is the result of an analysis (run.json says so), no ",
                     is_model ? "model" : "data set"));
  }
  if (!tensors) return NoTensors(folder, entries);
  absl::StatusOr<TensorFiles> read =
      ReadTensorFiles(is_model ? ArtifactKind::kModel : ArtifactKind::kDataset, sources);
  if (!read.ok()) {
    return absl::Status(read.status().code(),
                        absl::StrCat(folder.string(), ": ", read.status().message()));
  }
  for (const SourceFile& source : sources) {
    if (std::count(read->passed_over.begin(), read->passed_over.end(), source.name) > 0) continue;
    artifact.files.push_back({source.name, (folder / source.name).string()});
  }
  artifact.notes.insert(artifact.notes.end(), read->notes.begin(), read->notes.end());
  return absl::OkStatus();
}

std::vector<LocalFile> SingleFile(const fs::path& path, v1::ArtifactKind kind) {
  std::vector<LocalFile> files = {
      {kind == v1::MODEL ? "model.safetensors" : "data.safetensors", path.string()}};
  fs::path names = path;
  names.replace_extension(".names.json");
  if (IsFile(names)) files.push_back({kNamesFile, names.string()});
  return files;
}

}  // namespace

bool IsTensorFile(const std::string& path) {
  const fs::path file = path;
  if (file.extension() != kTensors || !IsFile(file)) return false;
  return file.filename() != kResultTensors || !IsResultFolder(FolderOf(file).string());
}

bool HoldsTensors(const std::string& folder) {
  const absl::StatusOr<std::vector<std::string>> names = EntriesOf(folder);
  return names.ok() && std::any_of(names->begin(), names->end(), [&](const std::string& name) {
           return IsTensorFile((fs::path(folder) / name).string());
         });
}

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
  LocalArtifact artifact{.name = SuggestName(path), .files = {}, .notes = {}};
  if (fs::is_directory(status)) {
    ASSIGN_OR_RETURN(const fs::path folder, FollowCache(path, artifact.notes));
    RETURN_IF_ERROR(AddFolder(folder, kind, artifact));
    return artifact;
  }
  const fs::path file = path;
  if (kind == v1::MODEL && file.filename() == kResultTensors &&
      IsResultFolder(FolderOf(file).string())) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " holds the arrays of a result (run.json beside it says so), no model"));
  }
  artifact.files = SingleFile(file, kind);
  return artifact;
}

}  // namespace radiograph::cli
