#include "core/base/disk_room.h"

#include <sys/statvfs.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"

namespace radiograph {

absl::Status CheckRoom(const std::string& folder, int64_t bytes, absl::string_view what) {
  struct statvfs disk;
  // A file system that does not tell its size is left to fail by itself.
  if (statvfs(folder.c_str(), &disk) != 0 || disk.f_blocks == 0) return absl::OkStatus();
  const auto free = static_cast<int64_t>(disk.f_bavail * disk.f_frsize);
  if (bytes <= free) return absl::OkStatus();
  return ErrnoStatus(ENOSPC,
                     absl::StrCat("no room for ", what, ", which needs ", bytes, " bytes where ",
                                  free, " are free, in"),
                     folder);
}

}  // namespace radiograph
