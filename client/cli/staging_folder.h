// A folder for what is not ready yet. It does not outlive its process for long: what a killed one
// leaves behind is swept by the next one that works in the same place.
#ifndef RADIOGRAPH_CLIENT_CLI_STAGING_FOLDER_H_
#define RADIOGRAPH_CLIENT_CLI_STAGING_FOLDER_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "core/base/file.h"

namespace radiograph::cli {

// <parent>/radiograph-??????, removed with all it holds at the end. It holds a file `lock` with a
// text of ours, on which the process has a lock (flock) for as long as it lives: by the text a
// folder is known as ours, by the free lock as that of a dead process. Folders of the same name
// without that file, and folders of other accounts, are never touched.
class StagingFolder {
 public:
  // Sweeps `parent`, which exists, and makes a folder there.
  static absl::StatusOr<StagingFolder> Make(const std::string& parent);
  // Below $TMPDIR or /tmp.
  static absl::StatusOr<StagingFolder> Make();
  StagingFolder(StagingFolder&& other) noexcept
      : path_(std::exchange(other.path_, "")), lock_(std::move(other.lock_)) {}
  StagingFolder& operator=(StagingFolder&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    return *this;
  }
  ~StagingFolder();

  const std::string& path() const { return path_; }

  // Whether `path` is such a folder, of a process that lives or of a dead one. Also an empty one of
  // such a name: a process may die before it makes the lock.
  static bool Is(const std::string& path);

 private:
  StagingFolder(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  static absl::StatusOr<StagingFolder> TryToMake(const std::string& parent);
  std::string path_;
  UniqueFd lock_;
};

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_STAGING_FOLDER_H_
