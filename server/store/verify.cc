// Whether a blob's bytes are what they were: what a read may find, and what heals it.
#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "server/store/blob_store.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

// A file that has been hashed whole is believed so long, unless it changes.
constexpr absl::Duration kVerifiedFor = absl::Hours(24);
constexpr size_t kVerifiedMax = 100'000;  // then all are forgotten

}  // namespace

absl::Status BlobStore::NoBlob(absl::string_view sha256) {
  return absl::NotFoundError(absl::StrCat("there is no blob ", sha256));
}

absl::Status BlobStore::Damaged(absl::string_view sha256, absl::string_view how) {
  return absl::DataLossError(
      absl::StrCat("blob ", sha256, " ", how, "; uploading the same bytes again heals it"));
}

bool BlobStore::IsDamaged(const std::string& sha256) {
  absl::MutexLock lock(&mu_);
  return damaged_.contains(sha256);
}

void BlobStore::MarkDamaged(const std::string& sha256) {
  {
    absl::MutexLock lock(&mu_);
    verified_.erase(sha256);
    if (!damaged_.insert(sha256).second) return;
  }
  Log(LogLevel::kError, "blob_damaged", {{"sha256", sha256}});
  options_.on_damaged();
}

void BlobStore::MarkWhole(const std::string& sha256, int fd) {
  struct stat file;
  if (fstat(fd, &file) != 0) return;  // then it is hashed again when it matters
  const absl::Time changed = absl::TimeFromTimespec(file.st_mtim);
  absl::MutexLock lock(&mu_);
  damaged_.erase(sha256);
  if (verified_.size() >= kVerifiedMax) verified_.clear();
  verified_[sha256] = {file.st_ino, changed, clock_->Monotonic()};
}

bool BlobStore::IsVerified(const std::string& sha256) {
  struct stat file;
  if (stat(BlobPath(sha256).c_str(), &file) != 0) return false;
  absl::MutexLock lock(&mu_);
  const auto found = verified_.find(sha256);
  return found != verified_.end() && found->second.inode == file.st_ino &&
         found->second.changed == absl::TimeFromTimespec(file.st_mtim) &&
         clock_->Monotonic() - found->second.when < kVerifiedFor;
}

absl::StatusOr<std::optional<int64_t>> BlobStore::RowSize(const std::string& sha256) {
  RETURN_IF_ERROR(CheckDigest(sha256));
  std::optional<int64_t> size;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    ASSIGN_OR_RETURN(size, PossessedSize(connection, kEveryTenant, sha256));
    return absl::OkStatus();
  }));
  return size;
}

absl::StatusOr<UniqueFd> BlobStore::OpenBlob(const std::string& sha256) {
  absl::StatusOr<UniqueFd> file = OpenFile(BlobPath(sha256), O_RDONLY);
  if (!absl::IsNotFound(file.status())) return file;
  ASSIGN_OR_RETURN(const std::optional<int64_t> size, RowSize(sha256));
  if (!size) return NoBlob(sha256);  // collected a moment ago
  MarkDamaged(sha256);
  return Damaged(sha256, "has lost its file");
}

absl::StatusOr<BlobState> BlobStore::Look(const std::string& sha256, bool bytes,
                                          absl::FunctionRef<absl::Status(int64_t)> go_on) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> size, RowSize(sha256));
  if (!size) return BlobState::kUnknown;
  const std::string path = BlobPath(sha256);
  absl::StatusOr<UniqueFd> file = OpenBlob(sha256);
  if (absl::IsNotFound(file.status())) return BlobState::kUnknown;
  if (absl::IsDataLoss(file.status())) return BlobState::kMissing;
  RETURN_IF_ERROR(file.status());
  ASSIGN_OR_RETURN(const int64_t found, FileSize(file->get(), path));
  if (found != *size) {
    MarkDamaged(sha256);
    return BlobState::kWrongSize;
  }
  if (!bytes) return BlobState::kWhole;
  Sha256 hash;
  std::string piece(kBlobPieceBytes, '\0');
  while (true) {
    ASSIGN_OR_RETURN(const int64_t got, ReadSome(file->get(), absl::MakeSpan(piece), path));
    if (got == 0) break;
    hash.Update(absl::string_view(piece).substr(0, got));
    RETURN_IF_ERROR(go_on(got));
  }
  if (hash.Finish() != sha256) {
    MarkDamaged(sha256);
    return BlobState::kDamaged;
  }
  MarkWhole(sha256, file->get());
  return BlobState::kWhole;
}

absl::StatusOr<std::string> BlobStore::Path(const std::string& sha256, Stopped stopped) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> size, RowSize(sha256));
  if (!size) return NoBlob(sha256);
  if (IsVerified(sha256)) return BlobPath(sha256);
  ASSIGN_OR_RETURN(const BlobState state, Look(sha256, /*bytes=*/true, [&](int64_t) {
                     return stopped() ? absl::CancelledError("asked to stop") : absl::OkStatus();
                   }));
  switch (state) {
    case BlobState::kWhole:
      return BlobPath(sha256);
    case BlobState::kUnknown:
      return NoBlob(sha256);
    case BlobState::kMissing:
      return Damaged(sha256, "has lost its file");
    case BlobState::kWrongSize:
      return Damaged(sha256, "has another size than it had");
    case BlobState::kDamaged:
      return Damaged(sha256, "has other bytes than it had");
  }
  return absl::InternalError("no such state of a blob");
}

}  // namespace radiograph
