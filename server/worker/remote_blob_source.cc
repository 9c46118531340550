#include "server/worker/remote_blob_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr std::chrono::hours kPartialAgeMax(24);

}  // namespace

absl::StatusOr<PinnedFile> LocalBlobSource::Fetch(const std::string& sha256, int64_t,
                                                  std::stop_token stop) {
  ASSIGN_OR_RETURN(std::string path, path_of_(sha256, stop));
  return std::make_shared<const std::string>(std::move(path));
}

RemoteBlobSource::RemoteBlobSource(Options options, std::shared_ptr<grpc::Channel> channel)
    : options_(std::move(options)), transfer_(std::move(channel), options_.token) {}

absl::StatusOr<std::unique_ptr<RemoteBlobSource>> RemoteBlobSource::Open(
    Options options, std::shared_ptr<grpc::Channel> channel) {
  RETURN_IF_ERROR(MakeFolders(options.folder + "/blobs"));
  RETURN_IF_ERROR(MakeFolders(options.folder + "/partial"));
  std::unique_ptr<RemoteBlobSource> source(
      new RemoteBlobSource(std::move(options), std::move(channel)));
  RETURN_IF_ERROR(source->FindLeft());
  RETURN_IF_ERROR(source->DropOldPartials());
  return source;
}

std::string RemoteBlobSource::PathOf(const std::string& sha256) const {
  return absl::StrCat(options_.folder, "/blobs/", sha256);
}

std::string RemoteBlobSource::PartialPathOf(const std::string& sha256) const {
  return absl::StrCat(options_.folder, "/partial/", sha256);
}

absl::Status RemoteBlobSource::FindLeft() {
  absl::MutexLock lock(&mu_);
  std::vector<std::tuple<std::filesystem::file_time_type, std::string, int64_t>> left;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(options_.folder + "/blobs", error)) {
    std::string name = file.path().filename();
    if (IsSha256(name)) left.emplace_back(file.last_write_time(error), name, file.file_size(error));
  }
  if (error) return ErrnoStatus(error.value(), "can't read", options_.folder);
  std::sort(left.begin(), left.end());
  for (const auto& [time, sha256, size] : left) {
    auto position = recent_.insert(recent_.end(), sha256);
    entries_[sha256] = {.size = size, .left = true, .position = position};
    bytes_ += size;
  }
  return MakeRoom(0);  // the limit may be lower than it was
}

absl::Status RemoteBlobSource::DropOldPartials() {
  const auto oldest = std::filesystem::file_time_type::clock::now() - kPartialAgeMax;
  std::error_code error;
  for (const auto& file :
       std::filesystem::directory_iterator(options_.folder + "/partial", error)) {
    if (file.last_write_time(error) < oldest) std::filesystem::remove(file.path(), error);
  }
  return error ? ErrnoStatus(error.value(), "can't clean", options_.folder) : absl::OkStatus();
}

int64_t RemoteBlobSource::free_bytes() const {
  absl::MutexLock lock(&mu_);
  int64_t pinned = 0;
  for (const auto& [sha256, entry] : entries_) pinned += entry.pins > 0 ? entry.size : 0;
  return std::max<int64_t>(0, options_.bytes_max - pinned);
}

absl::Status RemoteBlobSource::MakeRoom(int64_t size) {
  auto next = recent_.begin();
  while (bytes_ + size > options_.bytes_max && next != recent_.end()) {
    auto entry = entries_.find(*next);
    if (entry->second.pins > 0) {
      ++next;
      continue;
    }
    if (unlink(PathOf(*next).c_str()) != 0 && errno != ENOENT) {
      return ErrnoStatus(errno, "can't remove", PathOf(*next));
    }
    bytes_ -= entry->second.size;
    entries_.erase(entry);
    next = recent_.erase(next);
  }
  if (bytes_ + size <= options_.bytes_max) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("a blob of ", size, " bytes does not fit: the cache holds at most ",
                   options_.bytes_max, " bytes, of which ", bytes_, " are in use"));
}

PinnedFile RemoteBlobSource::Pin(const std::string& sha256) {
  Entry& entry = entries_.at(sha256);
  ++entry.pins;
  recent_.splice(recent_.end(), recent_, entry.position);
  utimensat(AT_FDCWD, PathOf(sha256).c_str(), nullptr, 0);  // for the next process; may fail
  return PinnedFile(new std::string(PathOf(sha256)), [this, sha256](const std::string* path) {
    delete path;
    Unpin(sha256);
  });
}

void RemoteBlobSource::Unpin(const std::string& sha256) {
  absl::MutexLock lock(&mu_);
  --entries_.at(sha256).pins;
}

absl::StatusOr<PinnedFile> RemoteBlobSource::Fetch(const std::string& sha256, int64_t size,
                                                   std::stop_token stop) {
  if (!IsSha256(sha256)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", sha256, "\" is no SHA-256"));
  }
  std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mu_); });
  bool left = false;
  {
    absl::MutexLock lock(&mu_);
    auto settled = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      auto entry = entries_.find(sha256);
      return entry == entries_.end() || entry->second.here || entry->second.left ||
             stop.stop_requested();
    };
    mu_.Await(absl::Condition(&settled));
    if (stop.stop_requested()) return absl::CancelledError("asked to stop");
    auto entry = entries_.find(sha256);
    if (entry != entries_.end() && entry->second.here) return Pin(sha256);
    left = entry != entries_.end();
    if (left) {
      entry->second.left = false;
      entry->second.pins = 1;
      bytes_ += size - entry->second.size;
      entry->second.size = size;
    } else {
      RETURN_IF_ERROR(MakeRoom(size));
      auto position = recent_.insert(recent_.end(), sha256);
      entries_[sha256] = {.size = size, .pins = 1, .position = position};
      bytes_ += size;
    }
  }
  absl::Status status = left ? CheckLeft(sha256, size, stop) : Bring(sha256, size, stop);
  absl::MutexLock lock(&mu_);
  Entry& entry = entries_.at(sha256);
  --entry.pins;
  if (status.ok()) {
    entry.here = true;
    return Pin(sha256);
  }
  bytes_ -= entry.size;
  recent_.erase(entry.position);
  entries_.erase(sha256);
  return status;
}

absl::Status RemoteBlobSource::CheckLeft(const std::string& sha256, int64_t size,
                                         std::stop_token stop) {
  const absl::StatusOr<FileDigest> found = Sha256OfFile(PathOf(sha256));
  if (found.ok() && found->sha256 == sha256) return absl::OkStatus();
  Log(LogLevel::kWarning, "cached_blob_damaged", {{"sha256", sha256}});
  return Bring(sha256, size, stop);  // over what is there
}

absl::Status RemoteBlobSource::Bring(const std::string& sha256, int64_t size,
                                     std::stop_token stop) {
  const std::string partial = PartialPathOf(sha256);
  RETURN_IF_ERROR(transfer_.Download(sha256, size, partial, stop));
  if (chmod(partial.c_str(), 0444) != 0) return ErrnoStatus(errno, "can't protect", partial);
  if (rename(partial.c_str(), PathOf(sha256).c_str()) != 0) {
    return ErrnoStatus(errno, "can't move", partial);
  }
  return SyncFolder(options_.folder + "/blobs");
}

}  // namespace radiograph
