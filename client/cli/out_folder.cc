#include "client/cli/out_folder.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/exit_code.h"
#include "client/cli/local_files.h"
#include "core/base/cause.h"
#include "core/base/digest.h"
#include "core/base/disk_room.h"
#include "core/base/file.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNamesShown = 5;
constexpr char kResultFile[] = "result.json";

// What every result has: looked at before there is one. Their digests are not known then.
const FileDigests& FilesOfEveryResult() {
  static const auto* const files = new FileDigests{
      {"arrays.safetensors", ""}, {"report.html", ""}, {kResultFile, ""}, {kRunFile, ""}};
  return *files;
}

std::string Joined(absl::string_view folder, absl::string_view name) {
  return absl::StrCat(folder, "/", name);
}

std::string Listed(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kNamesShown);
  std::string text = absl::StrJoin(names.begin(), names.begin() + shown, ", ");
  if (shown < names.size()) absl::StrAppend(&text, " and ", names.size() - shown, " more");
  return text;
}

// What lies in a folder, by name, but not folders in which we work.
absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!StagingFolder::Is(entry->path().string())) {
      names.push_back(entry->path().filename().string());
    }
  }
  if (error) return ErrnoStatus(error.value(), "can't list", folder);
  std::sort(names.begin(), names.end());
  return names;
}

// All files below a folder, and links, by name.
absl::StatusOr<std::vector<std::string>> FilesBelow(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_directory(error) && !entry->is_symlink(error)) continue;
    names.push_back(entry->path().lexically_relative(folder).string());
  }
  if (error) return ErrnoStatus(error.value(), "can't list", folder);
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<FileDigests> DigestsBelow(const std::string& folder) {
  FileDigests digests;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, FilesBelow(folder));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(FileDigest digest, Sha256OfFile(Joined(folder, name)));
    digests[name] = std::move(digest.sha256);
  }
  return digests;
}

enum class Place { kFree, kFile, kLink, kFolder };

Place LookAt(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return Place::kFree;
  if (S_ISLNK(info.st_mode)) return Place::kLink;
  return S_ISDIR(info.st_mode) ? Place::kFolder : Place::kFile;
}

// The part of a name at which something stands that is no folder, or a folder where the file should
// be; empty: the file may be there or not. Nothing is followed.
std::string BlockedAt(const std::string& folder, const std::string& name) {
  for (size_t slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1)) {
    const Place place = LookAt(Joined(folder, name.substr(0, slash)));
    if (place == Place::kFree) return "";
    if (place != Place::kFolder) return name.substr(0, slash);
  }
  return LookAt(Joined(folder, name)) == Place::kFolder ? name : "";
}

// Whether the files may be written into a folder. An empty digest: not known yet.
absl::Status CheckFiles(const std::string& folder, const FileDigests& files, const ResultSign& sign,
                        bool force) {
  std::vector<std::string> changed;
  for (const auto& [name, digest] : files) {
    const std::string blocked = BlockedAt(folder, name);
    if (!blocked.empty()) {
      return UsageError(absl::StrCat(Joined(folder, blocked), " is in the way of ", name,
                                     ": it is a link, or a folder where a file should be, or the "
                                     "other way round; it is never replaced, so name another "
                                     "folder or move it away"));
    }
    if (force || LookAt(Joined(folder, name)) == Place::kFree) continue;
    if (!digest.empty() && DigestAt(Joined(folder, name)) == digest) continue;
    if (!sign.Owns(folder, name)) changed.push_back(name);
  }
  if (changed.empty()) return absl::OkStatus();
  return UsageError(absl::StrCat(
      folder, " holds ", Listed(changed), " with other bytes, not as Radiograph wrote ",
      changed.size() == 1 ? "it" : "them",
      "; name another folder, or say --force to replace files of the same names"));
}

// Of a folder without a sign: what is there and not, with the same bytes, to come.
absl::StatusOr<std::vector<std::string>> Strangers(const std::string& folder,
                                                   const FileDigests& files) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, NamesIn(folder));
  std::vector<std::string> strangers;
  for (const std::string& name : names) {
    const std::string path = Joined(folder, name);
    const bool is_folder = LookAt(path) == Place::kFolder;
    const std::string prefix = name + "/";
    auto first = files.lower_bound(is_folder ? prefix : name);
    bool known = first != files.end() &&
                 (is_folder ? first->first.compare(0, prefix.size(), prefix) == 0
                            : first->first == name && first->second == DigestAt(path));
    if (known && is_folder) {
      ASSIGN_OR_RETURN(const std::vector<std::string> inside, FilesBelow(path));
      for (const std::string& one : inside) {
        auto file = files.find(prefix + one);
        known = known && file != files.end() && file->second == DigestAt(Joined(path, one));
      }
    }
    if (!known) strangers.push_back(is_folder ? prefix : name);
  }
  return strangers;
}

absl::Status CheckFolder(const std::string& folder, const FileDigests& files,
                         const ResultSign& sign, bool force) {
  if (sign.files.empty() && !force) {
    ASSIGN_OR_RETURN(const std::vector<std::string> strangers, Strangers(folder, files));
    if (!strangers.empty()) {
      return UsageError(absl::StrCat(
          folder, " holds ", Listed(strangers),
          "; it is not radiograph's to write into: name another folder (a new one below it, say), "
          "or say --force to replace files of the same names and leave the others"));
    }
  }
  return CheckFiles(folder, files, sign, force);
}

// A path without links: all of it, and all but its last part.
std::vector<fs::path> PlacesOf(const fs::path& given) {
  std::error_code error;
  const fs::path path = fs::absolute(given, error), last = path.filename();
  std::vector<fs::path> places = {fs::weakly_canonical(path, error)};
  if (!last.empty() && last != "." && last != "..") {
    places.push_back(fs::weakly_canonical(path.parent_path(), error) / last);
  }
  return places;
}

absl::Status CheckNoInput(const std::string& folder, const std::vector<std::string>& inputs) {
  fs::path out = PlacesOf(folder)[0];
  if (out.empty()) return absl::OkStatus();  // it can't be: making it says why
  if (out.filename().empty()) out = out.parent_path();
  for (const std::string& input : inputs) {
    for (const fs::path& place : PlacesOf(input)) {
      if (std::mismatch(out.begin(), out.end(), place.begin(), place.end()).first != out.end()) {
        continue;
      }
      return UsageError(absl::StrCat(
          "--out ", folder, " is the folder of the input ", input,
          ", or holds it; a result there would be read as part of it: name another folder"));
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> Matches(const std::string& pattern) {
  glob_t found = {};
  absl::Cleanup release = [&found] { globfree(&found); };
  if (glob(pattern.c_str(), 0, nullptr, &found) != 0) return {};
  return std::vector<std::string>(found.gl_pathv, found.gl_pathv + found.gl_pathc);
}

// The files of the model or the data set in a folder, or of a `series` of folders. What is wrong
// with them is said where they are read.
void AddFilesOf(const std::string& folder, bool series, std::vector<std::string>& paths) {
  std::vector<std::string> files, folders;
  bool has_tensors = false;
  std::error_code error, ignored;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_directory(ignored)) folders.push_back(entry->path().string());
    if (!entry->is_regular_file(ignored)) continue;
    files.push_back(entry->path().string());
    has_tensors = has_tensors || entry->path().extension() == ".safetensors";
  }
  if (has_tensors) paths.insert(paths.end(), files.begin(), files.end());
  if (has_tensors || !series) return;
  for (const std::string& one : folders) {
    if (!IsResultFolder(one) && !StagingFolder::Is(one)) AddFilesOf(one, /*series=*/false, paths);
  }
}

// All of the folders above a name in `folder`.
absl::Status MakeParents(const std::string& folder, const std::string& name) {
  for (size_t slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1)) {
    const std::string path = Joined(folder, name.substr(0, slash));
    if (mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, "can't create folder", path);
    }
  }
  return absl::OkStatus();
}

absl::Status Move(const std::string& from, const std::string& folder, const std::string& name) {
  RETURN_IF_ERROR(MakeParents(folder, name));
  const std::string to = Joined(folder, name);
  if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "can't move a file to", to);
}

// And the folders above it that are empty then.
absl::Status RemoveFile(const std::string& folder, std::string name) {
  const std::string path = Joined(folder, name);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "can't remove", path);
  for (size_t slash = name.rfind('/'); slash != name.npos; slash = name.rfind('/')) {
    name.resize(slash);
    if (rmdir(Joined(folder, name).c_str()) != 0) break;
  }
  return absl::OkStatus();
}

// Beside its place, then renamed to it.
absl::Status ReplaceFile(const std::string& path, absl::string_view bytes) {
  const fs::path parent = fs::path(path).parent_path();
  RETURN_IF_ERROR(CheckRoom(parent.empty() ? "." : parent.string(),
                            static_cast<int64_t>(bytes.size()),
                            fs::path(path).filename().string()));
  const std::string made = absl::StrCat(path, ".radiograph-", RandomHex(3));
  absl::Cleanup remove = [&] { unlink(made.c_str()); };
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(made, O_WRONLY | O_CREAT | O_EXCL));
  RETURN_IF_ERROR(WriteAll(fd.get(), bytes, path));
  if (rename(made.c_str(), path.c_str()) != 0)
    return ErrnoStatus(errno, "can't move a file to", path);
  std::move(remove).Cancel();
  return absl::OkStatus();
}

// A lock against another command that writes into the folder, for as long as it is open. Where a
// file system has no locks, there is none.
UniqueFd LockFolder(const std::string& folder) {
  absl::StatusOr<UniqueFd> fd = OpenFile(folder, O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) return {};
  static_cast<void>(flock(fd->get(), LOCK_EX));
  return *std::move(fd);
}

}  // namespace

FlagSpec ForceFlag() {
  return {.name = "force",
          .value = "",
          .help = "replace files of the same names that Radiograph did not write"};
}

std::vector<std::string> InputPaths(
    const std::vector<std::pair<std::string, std::string>>& inputs) {
  std::vector<std::string> paths;
  for (const auto& [name, ref] : inputs) {
    std::error_code ignored;
    if (!IsPath(ref)) continue;
    paths.push_back(ref);
    std::vector<std::string> given = {ref};
    if (!fs::exists(ref, ignored)) given = Matches(ref);
    for (const std::string& path : given) {
      paths.push_back(path);
      if (fs::is_directory(path, ignored)) AddFilesOf(path, /*series=*/true, paths);
    }
  }
  return paths;
}

absl::StatusOr<OutFolder> OutFolder::Open(const std::string& path, OutOptions options,
                                          const FileDigests* files) {
  RETURN_IF_ERROR(CheckNoInput(path, options.inputs));
  std::error_code error;
  const bool there = fs::exists(path, error);
  if (there && !fs::is_directory(path, error)) {
    return UsageError(absl::StrCat("--out ", path, " is a file; a folder is needed"));
  }
  const ResultSign sign = files == nullptr ? ReadSign(path) : ResultSign();
  FileDigests coming = files == nullptr ? FilesOfEveryResult() : *files;
  for (const auto& [name, digests] : sign.files) coming[name];  // it will be there again
  if (there) RETURN_IF_ERROR(CheckFolder(path, coming, sign, options.force));
  RETURN_IF_ERROR(MakeFolders(path));
  ASSIGN_OR_RETURN(StagingFolder staging, StagingFolder::Make(path));
  return OutFolder(path, std::move(staging), std::move(options),
                   files == nullptr ? FileDigests() : *files, !there);
}

absl::StatusOr<OutFolder> OutFolder::Make(const std::string& path, OutOptions options) {
  if (!path.empty()) return Open(path, std::move(options), nullptr);
  ASSIGN_OR_RETURN(StagingFolder staging, StagingFolder::Make());
  return OutFolder("", std::move(staging), std::move(options), {}, false);
}

absl::StatusOr<OutFolder> OutFolder::MakeFor(const std::string& path, FileDigests files,
                                             OutOptions options) {
  return Open(path, std::move(options), &files);
}

OutFolder::~OutFolder() {
  if (!made_ || path_.empty() || staging_.path().empty()) return;
  { const StagingFolder gone = std::move(staging_); }
  rmdir(path_.c_str());
}

absl::StatusOr<std::string> OutFolder::Keep(const std::string& bundle) const {
  if (!kept()) return bundle;
  const absl::Status installed = Install(bundle);
  if (installed.ok()) return path_;
  // The work is done: it is not thrown away.
  const std::string saved = absl::StrCat(path_, "/result-", RandomHex(3));
  if (rename(bundle.c_str(), saved.c_str()) != 0) return installed;
  absl::Status status(installed.code(),
                      absl::StrCat(installed.message(), "; the result lies in ", saved));
  installed.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { status.SetPayload(url, payload); });
  return status;
}

absl::Status OutFolder::Install(const std::string& bundle) const {
  const UniqueFd lock = LockFolder(path_);
  const std::string run_path = Joined(bundle, kRunFile);
  ASSIGN_OR_RETURN(const std::string run, ReadFile(run_path, kRunBytesMax));
  ASSIGN_OR_RETURN(FileDigests files, DigestsBelow(bundle));
  const ResultSign sign = ReadSign(path_);
  RETURN_IF_ERROR(CheckFiles(path_, files, sign, options_.force));
  FileDigests replaces;
  for (const auto& [name, digests] : sign.files) {
    if (name == kRunFile || !BlockedAt(path_, name).empty() || !sign.Owns(path_, name)) continue;
    replaces[name] = DigestAt(Joined(path_, name));
  }
  files.erase(kRunFile);
  ASSIGN_OR_RETURN(const std::string on_the_way, SignedRun(run, files, replaces));
  ASSIGN_OR_RETURN(const std::string done, SignedRun(run, files, {}));
  RETURN_IF_ERROR(ReplaceFile(Joined(path_, kRunFile), on_the_way));
  if (replaces.contains(kResultFile)) RETURN_IF_ERROR(RemoveFile(path_, kResultFile));
  for (const auto& [name, digest] : replaces) {
    if (!files.contains(name)) RETURN_IF_ERROR(RemoveFile(path_, name));
  }
  for (const auto& [name, digest] : files) {
    if (name != kResultFile) RETURN_IF_ERROR(Move(Joined(bundle, name), path_, name));
  }
  RETURN_IF_ERROR(Move(Joined(bundle, kResultFile), path_, kResultFile));
  return ReplaceFile(Joined(path_, kRunFile), done);
}

bool OutFolder::Lacks(const std::string& name) const {
  auto file = files_.find(name);
  return file == files_.end() || DigestAt(Joined(path_, name)) != file->second;
}

std::vector<std::string> OutFolder::Others() const {
  absl::StatusOr<std::vector<std::string>> others = Strangers(path_, files_);
  if (!others.ok()) return {};
  if (others->size() > kNamesShown) others->resize(kNamesShown);
  return *std::move(others);
}

absl::Status OutFolder::KeepFiles(const std::string& folder) const {
  const UniqueFd lock = LockFolder(path_);
  RETURN_IF_ERROR(CheckFiles(path_, files_, ResultSign(), options_.force));
  for (const auto& [name, digest] : files_) {
    if (Lacks(name)) RETURN_IF_ERROR(Move(Joined(folder, name), path_, name));
  }
  return absl::OkStatus();
}

absl::Status OutFolder::Explain(const absl::Status& status) const {
  const int error = ErrnoOf(status);
  if (error != ENOSPC && error != EDQUOT) return status;
  return WithErrno(
      absl::Status(status.code(),
                   absl::StrCat(status.message(), "; ",
                                kept() ? "name a folder on a disk with more room with --out"
                                       : "set TMPDIR to a folder on a disk with more room, or name "
                                         "one with --out")),
      error);
}

absl::Status WriteOutFile(const std::string& path, absl::string_view bytes,
                          const OutOptions& options) {
  struct stat info, input;
  if (stat(path.c_str(), &info) != 0) return ReplaceFile(path, bytes);
  if (S_ISDIR(info.st_mode)) {
    return UsageError(absl::StrCat("--out ", path, " is a folder; a file is needed"));
  }
  if (!S_ISREG(info.st_mode)) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_WRONLY));
    return WriteAll(fd.get(), bytes, path);
  }
  for (const std::string& one : options.inputs) {
    if (stat(one.c_str(), &input) != 0) continue;
    if (input.st_dev != info.st_dev || input.st_ino != info.st_ino) continue;
    return UsageError(absl::StrCat("--out ", path, " is what is read; name another file"));
  }
  std::error_code error;
  const fs::path target = fs::canonical(path, error);
  if (error) return ErrnoStatus(error.value(), "can't resolve", path);
  if (DigestAt(target.string()) == Sha256Hex(bytes)) return absl::OkStatus();
  // An empty file, as mktemp makes it, has nothing to lose.
  if (info.st_size > 0 && !options.force) {
    return UsageError(absl::StrCat("--out ", path,
                                   " is a file with other bytes; name another, or say --force to "
                                   "replace it"));
  }
  return ReplaceFile(target.string(), bytes);
}

absl::Status AddToResult(const std::string& folder, const std::string& name,
                         absl::string_view bytes, bool force) {
  const UniqueFd lock = LockFolder(folder);
  const ResultSign sign = ReadSign(folder);
  const FileDigests file = {{name, Sha256Hex(bytes)}};
  RETURN_IF_ERROR(CheckFiles(folder, file, sign, force));
  const std::string path = Joined(folder, name), run_path = Joined(folder, kRunFile);
  if (sign.Owns(folder, kRunFile)) {
    FileDigests files, replaces;
    for (const auto& [listed, digests] : sign.files) {
      if (sign.Owns(folder, listed)) files[listed] = DigestAt(Joined(folder, listed));
    }
    if (files.contains(name)) replaces[name] = files[name];
    files[name] = file.at(name);
    ASSIGN_OR_RETURN(const std::string run, ReadFile(run_path, kRunBytesMax));
    ASSIGN_OR_RETURN(const std::string listing, SignedRun(run, files, replaces));
    RETURN_IF_ERROR(ReplaceFile(run_path, listing));
  }
  if (DigestAt(path) == file.at(name)) return absl::OkStatus();
  return ReplaceFile(path, bytes);
}

}  // namespace radiograph::cli
