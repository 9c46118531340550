// The folder that holds everything a server must not lose:
//   lock                  flock: one server per folder; holds the process id while one runs
//   radiograph.db         SQLite (also -wal and -shm)
//   blobs/ab/<sha256>     immutable bytes, read-only
//   uploads/              bytes on their way in
#ifndef RADIOGRAPH_SERVER_STORE_STATE_FOLDER_H_
#define RADIOGRAPH_SERVER_STORE_STATE_FOLDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/base/file.h"

namespace radiograph {

// Holds the lock until it is destroyed.
class StateFolder {
 public:
  // Makes the folder, for this account only, when it isn't there. FAILED_PRECONDITION when another
  // server has it, naming the folder and the other's process id.
  static absl::StatusOr<StateFolder> Lock(const std::string& path);
  StateFolder(StateFolder&&) = default;
  StateFolder& operator=(StateFolder&&) = delete;
  ~StateFolder();

  const std::string& path() const { return path_; }
  // All in it opened well: from now on destruction is a clean end.
  void SetOpened() { opened_ = true; }
  // True when the last server in this folder did not come to a clean end.
  bool unclean() const { return unclean_; }

 private:
  StateFolder(std::string path, UniqueFd fd, bool unclean)
      : path_(std::move(path)), fd_(std::move(fd)), unclean_(unclean) {}
  std::string path_;
  UniqueFd fd_;
  bool unclean_;
  bool opened_ = false;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_STATE_FOLDER_H_
