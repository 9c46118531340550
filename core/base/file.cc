#include "core/base/file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/cause.h"
#include "core/base/log.h"
#include "core/base/names.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::StatusCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

std::string FolderOf(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    Reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void UniqueFd::Reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

absl::Status ErrnoStatus(int error, absl::string_view action, absl::string_view path) {
  return WithErrno(
      absl::Status(CodeOf(error), absl::StrCat(Shown(action, PATH_MAX), " ", Shown(path, PATH_MAX),
                                               ": ", std::strerror(error))),
      error);
}

absl::StatusOr<UniqueFd> OpenFile(const std::string& path, int flags) {
  int fd;
  do {
    fd = open(path.c_str(), flags | O_CLOEXEC, 0644);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return ErrnoStatus(errno, "can't open", path);
  return UniqueFd(fd);
}

absl::StatusOr<int64_t> FileSize(int fd, absl::string_view path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoStatus(errno, "can't stat", path);
  return static_cast<int64_t>(info.st_size);
}

absl::StatusOr<int64_t> ReadSome(int fd, absl::Span<char> into, absl::string_view path) {
  ssize_t got;
  do {
    got = read(fd, into.data(), into.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return ErrnoStatus(errno, "can't read", path);
  return static_cast<int64_t>(got);
}

absl::Status ReadAt(int fd, int64_t offset, absl::Span<char> into, absl::string_view path) {
  while (!into.empty()) {
    ssize_t got = pread(fd, into.data(), into.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "can't read", path);
    if (got == 0) {
      return absl::DataLossError(absl::StrCat(Shown(path, PATH_MAX), " ends at byte ", offset, "; ",
                                              into.size(), " more were expected"));
    }
    into.remove_prefix(got);
    offset += got;
  }
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, absl::string_view bytes, absl::string_view path) {
  while (!bytes.empty()) {
    ssize_t put = write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return ErrnoStatus(errno, "can't write", path);
    bytes.remove_prefix(put);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t bytes_max) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  std::string text;
  constexpr int64_t kChunk = 1 << 16;
  while (true) {
    size_t old = text.size();
    text.resize(old + kChunk);
    ASSIGN_OR_RETURN(int64_t got, ReadSome(fd.get(), absl::MakeSpan(&text[old], kChunk), path));
    text.resize(old + got);
    if (static_cast<int64_t>(text.size()) > bytes_max) {
      return absl::InvalidArgumentError(
          absl::StrCat(Shown(path, PATH_MAX), " holds more than ", bytes_max, " bytes"));
    }
    if (got == 0) return text;
  }
}

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC));
  return WriteAll(fd.get(), bytes, path);
}

absl::Status WriteFileDurably(const std::string& path, absl::string_view bytes) {
  std::string temporary = path + ".XXXXXX";
  UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "can't create", temporary);
  absl::Status status = WriteAll(fd.get(), bytes, temporary);
  if (status.ok() && fsync(fd.get()) != 0) status = ErrnoStatus(errno, "can't sync", temporary);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(errno, "can't rename to", path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncFolder(FolderOf(path));
}

absl::Status SyncFolder(const std::string& folder) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(folder, O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, "can't sync", folder);
  return absl::OkStatus();
}

absl::Status MakeFolders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), "can't create folder", path);
  return absl::OkStatus();
}

absl::Status MakePrivateFolder(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // without the `/` at its end
  RETURN_IF_ERROR(MakeFolders(FolderOf(folder.string())));
  if (mkdir(folder.c_str(), 0700) == 0) return absl::OkStatus();
  return MakeFolders(path);
}

void WarnIfOthersMayRead(const std::string& folder) {
  struct stat info;
  if (stat(folder.c_str(), &info) != 0 || (info.st_mode & (S_IRWXG | S_IRWXO)) == 0) return;
  Log(LogLevel::kWarning, "folder_open_to_others",
      {{"folder", folder},
       {"mode", absl::StrFormat("%04o", info.st_mode & 07777)},
       {"hint",
        absl::StrCat("other accounts of this machine may look into it: chmod 700 ", folder)}});
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return ErrnoStatus(error.value(), "can't remove", path);
  return absl::OkStatus();
}

absl::StatusOr<TemporaryFolder> TemporaryFolder::Make(const std::string& parent) {
  RETURN_IF_ERROR(MakeFolders(parent));
  std::string path = absl::StrCat(parent, "/radiograph-XXXXXX");
  if (mkdtemp(path.data()) == nullptr)
    return ErrnoStatus(errno, "can't create a folder in", parent);
  return TemporaryFolder(path);
}

absl::StatusOr<TemporaryFolder> TemporaryFolder::Make() {
  const char* parent = std::getenv("TMPDIR");
  return Make(parent != nullptr && *parent != '\0' ? parent : "/tmp");
}

TemporaryFolder::~TemporaryFolder() {
  if (!path_.empty()) static_cast<void>(RemoveTree(path_));
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  ASSIGN_OR_RETURN(int64_t size, FileSize(fd.get(), path));
  if (size == 0) return MappedFile(nullptr, 0);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "can't map", path);
  return MappedFile(static_cast<const char*>(data), size);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<char*>(data_), size_);
}

}  // namespace radiograph
