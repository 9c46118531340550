// A file that may be replaced while it is used.
#ifndef RADIOGRAPH_SERVER_AUTH_WATCHED_FILE_H_
#define RADIOGRAPH_SERVER_AUTH_WATCHED_FILE_H_

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace radiograph {

// Tells replacement and writing by inode, size and times. Used from one thread at a time.
class WatchedFile {
 public:
  explicit WatchedFile(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }

  // Whether it is another than at the last call; true at the first one, false without a path. To be
  // asked before reading: what is written meanwhile is told at the next call.
  bool Changed() {
    if (path_.empty()) return false;
    struct stat now = {};
    State state = {};  // of a file that isn't there
    if (stat(path_.c_str(), &now) == 0) {
      state = {static_cast<int64_t>(now.st_ino),
               now.st_size,
               now.st_mtim.tv_sec,
               now.st_mtim.tv_nsec,
               now.st_ctim.tv_sec,
               now.st_ctim.tv_nsec,
               1};
    }
    const bool changed = !seen_ || state != state_;
    seen_ = true;
    state_ = state;
    return changed;
  }

 private:
  using State = std::array<int64_t, 7>;
  std::string path_;
  bool seen_ = false;
  State state_ = {};
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_AUTH_WATCHED_FILE_H_
