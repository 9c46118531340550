#include "server/store/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {

absl::StatusOr<StateFolder> StateFolder::Lock(const std::string& path) {
  RETURN_IF_ERROR(MakePrivateFolder(path));
  const std::string file = absl::StrCat(path, "/lock");
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(file, O_RDWR | O_CREAT));
  bool locked = flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno != EWOULDBLOCK) return ErrnoStatus(errno, "can't lock", file);
  ASSIGN_OR_RETURN(std::string owner, ReadFile(file, 64));
  if (!locked) {
    return absl::FailedPreconditionError(
        absl::StrCat("the state folder ", path, " is in use by radiographd, process ", owner,
                     "; stop that one or give this one another folder with --state"));
  }
  if (ftruncate(fd.get(), 0) != 0) return ErrnoStatus(errno, "can't truncate", file);
  RETURN_IF_ERROR(WriteAll(fd.get(), absl::StrCat(getpid()), file));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, "can't sync", file);
  return StateFolder(path, std::move(fd), !owner.empty());
}

StateFolder::~StateFolder() {
  // An empty file says that all was well. If this fails, the next start checks the database for
  // nothing.
  if (fd_.valid() && opened_) static_cast<void>(ftruncate(fd_.get(), 0) == 0);
}

}  // namespace radiograph
