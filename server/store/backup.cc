#include "server/store/backup.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

constexpr char kPartial[] = ".partial-";  // before the name, until it is whole
constexpr char kDatabase[] = "/radiograph.db";

absl::Status StopStatus(Stopped stopped) {
  return stopped() ? absl::CancelledError("asked to stop") : absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename().string());
  }
  if (error) return ErrnoStatus(error.value(), "can't list", folder);
  std::sort(names.begin(), names.end());
  return names;
}

// A backup loses its name before its files.
absl::Status RemoveBackup(Disk& disk, const std::string& folder, const std::string& name) {
  std::string path = absl::StrCat(folder, "/", name);
  if (!absl::StartsWith(name, kPartial)) {
    const std::string partial = absl::StrCat(folder, "/", kPartial, name);
    RETURN_IF_ERROR(disk.Rename(path, partial));
    path = partial;
  }
  return RemoveTree(path);
}

absl::Status RemoveOld(Disk& disk, const std::string& folder) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(folder));
  std::vector<std::string> whole;
  for (const std::string& name : names) {
    if (!absl::StartsWith(name, ".")) whole.push_back(name);
  }
  for (size_t i = 0; i + kBackupsKept < whole.size(); ++i) {  // the names are times
    RETURN_IF_ERROR(RemoveBackup(disk, folder, whole[i]));
  }
  return absl::OkStatus();
}

absl::Status RemoveBrokenOff(Disk& disk, const std::string& folder) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(folder));
  for (const std::string& name : names) {
    if (absl::StartsWith(name, kPartial)) RETURN_IF_ERROR(RemoveBackup(disk, folder, name));
  }
  return absl::OkStatus();
}

// For another copy of the database, log included.
absl::Status CheckRoom(Store& store) {
  int64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    const std::string path = absl::StrCat(store.folder.path(), kDatabase, suffix);
    std::error_code error;  // without a log
    const auto size = std::filesystem::file_size(path, error);
    if (!error) bytes += static_cast<int64_t>(size);
  }
  return store.blobs->space().CheckNew(bytes);
}

// A snapshot, compact and without a log of writes.
absl::StatusOr<int64_t> CopyDatabase(const std::string& from, const std::string& to, Disk& disk) {
  {
    ASSIGN_OR_RETURN(Connection reader, Connection::Open(from, Connection::Mode::kReadOnly));
    RETURN_IF_ERROR(reader.Prepare("VACUUM INTO ?").Bind(1, to).Run());
  }
  ASSIGN_OR_RETURN(const UniqueFd file, OpenFile(to, O_RDWR));
  RETURN_IF_ERROR(disk.Sync(file.get(), to));
  return FileSize(file.get(), to);
}

// Links the blobs that the database in `to` names.
absl::Status LinkBlobs(const std::string& from, const std::string& to, Disk& disk, Stopped stopped,
                       v1::Backup& backup) {
  ASSIGN_OR_RETURN(Connection copy, Connection::Open(to + kDatabase, Connection::Mode::kReadOnly));
  Statement& rows = copy.Prepare("SELECT sha256, size FROM blob ORDER BY sha256");
  const std::string folder = absl::StrCat(to, "/blobs");
  RETURN_IF_ERROR(MakeFolders(folder));
  std::string part;
  int64_t lost = 0;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) break;
    RETURN_IF_ERROR(StopStatus(stopped));
    const std::string file = absl::StrCat("/blobs/", rows.Text(0).substr(0, 2), "/", rows.Text(0));
    if (rows.Text(0).substr(0, 2) != part) {
      if (!part.empty()) RETURN_IF_ERROR(disk.SyncFolder(absl::StrCat(folder, "/", part)));
      part = std::string(rows.Text(0).substr(0, 2));
      RETURN_IF_ERROR(MakeFolders(absl::StrCat(folder, "/", part)));
    }
    const absl::Status linked = disk.Link(from + file, to + file);
    lost += absl::IsNotFound(linked);
    if (absl::IsNotFound(linked)) continue;
    RETURN_IF_ERROR(linked);
    backup.set_blobs(backup.blobs() + 1);
    backup.set_blob_bytes(backup.blob_bytes() + rows.Int(1));
  }
  if (!part.empty()) RETURN_IF_ERROR(disk.SyncFolder(absl::StrCat(folder, "/", part)));
  if (lost > 0) Log(LogLevel::kWarning, "backup_lacks_blobs", {{"lost", lost}});
  return disk.SyncFolder(folder);
}

}  // namespace

absl::StatusOr<v1::Backup> MakeBackup(Store& store, Collector& collector, const Clock& clock,
                                      Disk& disk, Stopped stopped) {
  const Collector::Pause pause(&collector);
  RETURN_IF_ERROR(StopStatus(stopped));
  const std::string& state = store.folder.path();
  const std::string folder = absl::StrCat(state, "/backups");
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(disk.SyncFolder(state));
  RETURN_IF_ERROR(RemoveBrokenOff(disk, folder));
  const absl::Time now = clock.Now();
  const std::string name = absl::FormatTime("%Y-%m-%dT%H%M%E3SZ", now, absl::UTCTimeZone());
  const std::string partial = absl::StrCat(folder, "/", kPartial, name);
  v1::Backup backup;
  const std::string path = absl::StrCat(folder, "/", name);
  backup.set_folder(IsUtf8(path) ? path : absl::CHexEscape(path));  // a path is bytes, this is text
  *backup.mutable_create_time() = ToTimestamp(now);
  RETURN_IF_ERROR(CheckRoom(store));
  RETURN_IF_ERROR(MakeFolders(partial));
  ASSIGN_OR_RETURN(const int64_t bytes, CopyDatabase(state + kDatabase, partial + kDatabase, disk));
  backup.set_database_bytes(bytes);
  RETURN_IF_ERROR(LinkBlobs(state, partial, disk, stopped, backup));
  RETURN_IF_ERROR(disk.SyncFolder(partial));
  RETURN_IF_ERROR(disk.Rename(partial, path));
  RETURN_IF_ERROR(disk.SyncFolder(folder));
  const absl::Status removed = RemoveOld(disk, folder);
  if (!removed.ok()) Log(LogLevel::kWarning, "old_backup_stays", {{"error", removed.ToString()}});
  return backup;
}

}  // namespace radiograph
