// Files by POSIX calls. Every error is a Status that names the path and the reason; errno becomes a
// code here and nowhere else: ENOENT NOT_FOUND, EACCES PERMISSION_DENIED, EEXIST ALREADY_EXISTS,
// ENOSPC, EDQUOT and EMFILE RESOURCE_EXHAUSTED, others UNAVAILABLE.
#ifndef RADIOGRAPH_CORE_BASE_FILE_H_
#define RADIOGRAPH_CORE_BASE_FILE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace radiograph {

// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset();

 private:
  int fd_ = -1;
};

// "<action> <path>: <reason>" with the code that fits `error` (an errno).
absl::Status ErrnoStatus(int error, absl::string_view action, absl::string_view path);

// open(2) with O_CLOEXEC and mode 0644 less the umask.
absl::StatusOr<UniqueFd> OpenFile(const std::string& path, int flags);
absl::StatusOr<int64_t> FileSize(int fd, absl::string_view path);

// One read, repeated on EINTR; 0 at the end. `path` is for the message.
absl::StatusOr<int64_t> ReadSome(int fd, absl::Span<char> into, absl::string_view path);
// Exactly into.size() bytes at `offset`; DATA_LOSS when the file ends before.
absl::Status ReadAt(int fd, int64_t offset, absl::Span<char> into, absl::string_view path);
absl::Status WriteAll(int fd, absl::string_view bytes, absl::string_view path);

// The whole file; INVALID_ARGUMENT when it holds more than bytes_max.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t bytes_max);
// Creates or replaces a file. Not durable, not atomic.
absl::Status WriteFile(const std::string& path, absl::string_view bytes);
// Atomic and durable: temporary file, fsync, rename, fsync of the folder.
absl::Status WriteFileDurably(const std::string& path, absl::string_view bytes);
absl::Status SyncFolder(const std::string& folder);

absl::Status MakeFolders(const std::string& path);
// The same, where the last folder, if it is made here, is for this account only (mode 0700).
absl::Status MakePrivateFolder(const std::string& path);
// A line in the log, `folder_open_to_others`, where other accounts of the machine may look into the
// folder.
void WarnIfOthersMayRead(const std::string& folder);
absl::Status RemoveTree(const std::string& path);

// A new folder below `parent`, removed with all it holds at the end.
class TemporaryFolder {
 public:
  static absl::StatusOr<TemporaryFolder> Make(const std::string& parent);
  // Below $TMPDIR or /tmp.
  static absl::StatusOr<TemporaryFolder> Make();
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// A read-only mapping of a whole file. The file must not shrink while it is mapped: the server,
// which can't promise that, reads with ReadAt instead.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();
  absl::string_view bytes() const { return {data_, static_cast<size_t>(size_)}; }

 private:
  MappedFile(const char* data, int64_t size) : data_(data), size_(size) {}
  const char* data_;
  int64_t size_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_FILE_H_
