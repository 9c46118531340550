#include "client/cli/staging_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "radiograph-";
constexpr size_t kRandomLetters = 6;
constexpr absl::string_view kLock = "/lock";
constexpr absl::string_view kNewLock = "/lock.new";
constexpr int kAttemptsMax = 5;
constexpr char kText[] =
    "A folder in which Radiograph works. Once its process is gone, the next one that works beside\n"
    "it removes it.\n";

// A folder, not a link to one, of this account and of such a name.
bool HasTheLook(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  absl::string_view letters = name;
  if (!absl::ConsumePrefix(&letters, kPrefix) || letters.size() != kRandomLetters) return false;
  struct stat info;
  return std::all_of(letters.begin(), letters.end(), &absl::ascii_isalnum) &&
         lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid();
}

// The names in a folder that can be read; none in another.
std::vector<std::string> PathsIn(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    paths.push_back(entry->path().string());
  }
  return paths;
}

// The open lock file of a folder of ours; invalid when it has none.
UniqueFd OpenLock(const std::string& path) {
  if (!HasTheLook(path)) return {};
  for (absl::string_view name : {kLock, kNewLock}) {
    absl::StatusOr<UniqueFd> lock =
        OpenFile(absl::StrCat(path, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!lock.ok()) continue;
    char text[sizeof(kText)] = {};
    absl::StatusOr<int64_t> got = ReadSome(lock->get(), absl::MakeSpan(text), path);
    if (!got.ok()) continue;
    const absl::string_view read(text, *got);
    // A process may die while it makes the file; then there is nothing else.
    const bool half =
        name == kNewLock && absl::StartsWith(kText, read) && PathsIn(path).size() == 1;
    if (read == kText || half) return *std::move(lock);
  }
  return {};
}

// The lock goes last: what is left after a death on the way is still known as ours.
void Remove(const std::string& folder) {
  for (const std::string& path : PathsIn(folder)) {
    if (path != absl::StrCat(folder, kLock)) static_cast<void>(RemoveTree(path));
  }
  static_cast<void>(RemoveTree(folder));
}

void Sweep(const std::string& parent) {
  for (const std::string& path : PathsIn(parent)) {
    const UniqueFd lock = OpenLock(path);
    if (lock.valid() && flock(lock.get(), LOCK_EX | LOCK_NB) == 0) Remove(path);
  }
}

}  // namespace

bool StagingFolder::Is(const std::string& path) {
  if (OpenLock(path).valid()) return true;
  if (!HasTheLook(path)) return false;
  const std::vector<std::string> inside = PathsIn(path);
  return inside.empty() || (inside.size() == 1 && inside[0] == absl::StrCat(path, kNewLock));
}

absl::StatusOr<StagingFolder> StagingFolder::Make(const std::string& parent) {
  Sweep(parent);
  absl::StatusOr<StagingFolder> folder = TryToMake(parent);
  for (int i = 1; i < kAttemptsMax && absl::IsAborted(folder.status()); ++i) {
    folder = TryToMake(parent);
  }
  return folder;
}

// The file gets its name once it is locked: from then on nobody sees it free while its process
// lives. Who sweeps just before takes the folder for a dead one's: ABORTED.
absl::StatusOr<StagingFolder> StagingFolder::TryToMake(const std::string& parent) {
  std::string path = absl::StrCat(parent, "/", kPrefix, std::string(kRandomLetters, 'X'));
  if (mkdtemp(path.data()) == nullptr) {
    return ErrnoStatus(errno, "can't create a folder in", parent);
  }
  StagingFolder folder(path, UniqueFd());
  const std::string made = absl::StrCat(path, kNewLock);
  ASSIGN_OR_RETURN(folder.lock_, OpenFile(made, O_RDWR | O_CREAT | O_EXCL));
  // Where a file system has no locks, nobody sweeps.
  const bool swept = flock(folder.lock_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  RETURN_IF_ERROR(WriteAll(folder.lock_.get(), kText, made));
  if (!swept && rename(made.c_str(), absl::StrCat(path, kLock).c_str()) == 0) return folder;
  if (!swept && errno != ENOENT) return ErrnoStatus(errno, "can't rename", made);
  return absl::AbortedError(absl::StrCat(path, " was swept by another process"));
}

absl::StatusOr<StagingFolder> StagingFolder::Make() {
  const char* parent = std::getenv("TMPDIR");
  const std::string path = parent != nullptr && *parent != '\0' ? parent : "/tmp";
  RETURN_IF_ERROR(MakeFolders(path));
  return Make(path);
}

StagingFolder::~StagingFolder() {
  if (!path_.empty()) Remove(path_);
}

}  // namespace radiograph::cli
