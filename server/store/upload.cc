// The writer's side of an upload.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/blob_store.h"
#include "server/store/upload_state.h"

namespace radiograph {
namespace {

// Dirty pages are handed to the disk this often, so that the sync at the end finds little left to
// do.
constexpr int64_t kWriteBackBytes = 8 << 20;
constexpr absl::Duration kRetryWhenFull = absl::Seconds(5);

}  // namespace

absl::Status UploadState::Open() {
  struct stat found;
  whole = stat(path.c_str(), &found) == 0 && found.st_nlink > 1;
  ASSIGN_OR_RETURN(file, OpenFile(path, whole ? O_RDONLY : O_RDWR | O_CREAT | O_APPEND));
  if (hashed) return absl::OkStatus();
  ASSIGN_OR_RETURN(hash, BlobHash::OfFile(file.get(), path));
  size = hash.size();
  hashed = true;
  return absl::OkStatus();
}

Upload::Upload(BlobStore* store, std::shared_ptr<UploadState> state, int64_t size, bool complete)
    : store_(store), state_(std::move(state)), size_(size), complete_(complete) {}

Upload::~Upload() {
  if (state_ != nullptr) store_->Release(*state_, /*forget=*/false);
}

void Upload::Discard() {
  if (state_ != nullptr) store_->Release(*std::exchange(state_, nullptr), /*forget=*/true);
}

int64_t Upload::committed_size() const {
  if (state_ != nullptr) return state_->size;
  return complete_ ? size_ : 0;
}

absl::Status Upload::Append(int64_t offset, absl::string_view bytes) {
  if (!complete_ && (state_ == nullptr || !state_->hashed)) {
    return absl::FailedPreconditionError("an earlier step failed; resume the upload");
  }
  const int64_t at = committed_size();
  if (offset != at) {
    return absl::InvalidArgumentError(
        absl::StrCat("offset is ", offset, "; this upload goes on at ", at));
  }
  if (static_cast<int64_t>(bytes.size()) > size_ - at) {
    return absl::InvalidArgumentError(absl::StrCat(bytes.size(), " bytes at ", at,
                                                   " are more than the ", size_,
                                                   " bytes that the blob was said to have"));
  }
  if (bytes.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(state_->key.tenant == kEveryTenant ? store_->space_.CheckResult(0)
                                                     : store_->space_.CheckNew(0));
  absl::Status written = store_->disk_->Write(state_->file.get(), bytes, state_->path);
  if (!written.ok()) {
    state_->hashed = false;  // nobody knows how much of it is in the file: Open looks
    if (!absl::IsResourceExhausted(written)) return written;
    Discard();  // a large upload that fills the disk makes room for the small ones
    return QuotaExceeded({.quota = Quota::kDiskSpace,
                          .text = std::string(written.message()),
                          .retry = kRetryWhenFull});
  }
  state_->hash.Update(bytes);
  state_->size = state_->hash.size();
  const int64_t begin = at - at % kWriteBackBytes;
  if (state_->size - begin >= kWriteBackBytes) {
    // A hint: whatever it says, Commit's sync decides.
    static_cast<void>(
        sync_file_range(state_->file.get(), begin, kWriteBackBytes, SYNC_FILE_RANGE_WRITE));
  }
  return absl::OkStatus();
}

absl::Status Upload::Commit() {
  if (complete_) return absl::OkStatus();
  if (state_ == nullptr || !state_->hashed) {
    return absl::FailedPreconditionError("an earlier step failed; resume the upload");
  }
  if (state_->size != size_) {
    return absl::FailedPreconditionError(
        absl::StrCat("the blob has ", size_, " bytes; ", committed_size(), " have come"));
  }
  const std::string& expected = state_->key.sha256;
  const std::string found = state_->hash.Finish();
  absl::Status status = found == expected
                            ? store_->Publish(*state_)
                            : absl::InvalidArgumentError(absl::StrCat("the bytes have SHA-256 ",
                                                                      found, ", not ", expected));
  Discard();
  complete_ = status.ok();
  return status;
}

}  // namespace radiograph
