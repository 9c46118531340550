#include "client/cli/out_folder.h"

#include <filesystem>
#include <system_error>

#include "core/base/status_macros.h"

namespace radiograph::cli {

namespace fs = std::filesystem;

absl::StatusOr<OutFolder> OutFolder::Make(const std::string& path) {
  if (path.empty()) {
    ASSIGN_OR_RETURN(TemporaryFolder staging, TemporaryFolder::Make());
    return OutFolder("", std::move(staging));
  }
  RETURN_IF_ERROR(MakeFolders(path));
  ASSIGN_OR_RETURN(TemporaryFolder staging, TemporaryFolder::Make(path));
  return OutFolder(path, std::move(staging));
}

absl::StatusOr<std::string> OutFolder::Keep(const std::string& bundle) const {
  if (!kept()) return bundle;
  std::error_code error;
  for (fs::directory_iterator entry(bundle, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path to = fs::path(path_) / entry->path().filename();
    RETURN_IF_ERROR(RemoveTree(to.string()));
    std::error_code moved;
    fs::rename(entry->path(), to, moved);
    if (moved) return ErrnoStatus(moved.value(), "move to", to.string());
  }
  if (error) return ErrnoStatus(error.value(), "list", bundle);
  return path_;
}

}  // namespace radiograph::cli
