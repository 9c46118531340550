#include "server/store/disk.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"

namespace radiograph {

absl::Status Disk::Write(int fd, absl::string_view bytes, const std::string& path) {
  return WriteAll(fd, bytes, path);
}

absl::Status Disk::Sync(int fd, const std::string& path) {
  if (fsync(fd) != 0) return ErrnoStatus(errno, "can't sync", path);
  return absl::OkStatus();
}

absl::Status Disk::Link(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, "can't link", absl::StrCat(from, " as ", to));
  }
  return absl::OkStatus();
}

absl::Status Disk::Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return ErrnoStatus(errno, "can't rename", absl::StrCat(from, " to ", to));
  }
  return absl::OkStatus();
}

absl::Status Disk::SyncFolder(const std::string& folder) { return radiograph::SyncFolder(folder); }

absl::Status Disk::Remove(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "can't remove", path);
  return absl::OkStatus();
}

absl::StatusOr<Disk::Room> Disk::RoomOf(const std::string& folder) {
  struct statvfs room;
  if (statvfs(folder.c_str(), &room) != 0) {
    return ErrnoStatus(errno, "can't see the free space of", folder);
  }
  const auto block = static_cast<int64_t>(room.f_frsize);
  return Room{.all = static_cast<int64_t>(room.f_blocks) * block,
              .free = static_cast<int64_t>(room.f_bavail) * block};
}

}  // namespace radiograph
