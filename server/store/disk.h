// The steps by which blobs reach the disk, so that a test can let the N-th one fail.
#ifndef RADIOGRAPH_SERVER_STORE_DISK_H_
#define RADIOGRAPH_SERVER_STORE_DISK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

// The real one. Safe for use from many threads; `path` is for messages where there is a descriptor.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual absl::Status Write(int fd, absl::string_view bytes, const std::string& path);
  virtual absl::Status Sync(int fd, const std::string& path);
  // A second name of the file. ALREADY_EXISTS when `to` is there.
  virtual absl::Status Link(const std::string& from, const std::string& to);
  virtual absl::Status Rename(const std::string& from, const std::string& to);
  virtual absl::Status SyncFolder(const std::string& folder);
  virtual absl::Status Remove(const std::string& path);
  // Bytes of the file system that holds the folder: in all, and free for us.
  struct Room {
    int64_t all, free;
  };
  virtual absl::StatusOr<Room> RoomOf(const std::string& folder);
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_DISK_H_
