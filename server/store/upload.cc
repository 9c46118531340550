// The writer's side of an upload.
#include <fcntl.h>

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

}  // namespace

absl::Status UploadState::Open() {
  ASSIGN_OR_RETURN(file, OpenFile(path, O_RDWR | O_CREAT | O_APPEND));
  if (hashed) return absl::OkStatus();
  whole = Sha256();
  part_ = Sha256();
  part_size_ = 0;
  parts_.clear();
  size = 0;
  std::string chunk(1 << 20, '\0');
  while (true) {
    ASSIGN_OR_RETURN(int64_t got, ReadSome(file.get(), absl::MakeSpan(chunk), path));
    if (got == 0) break;
    Hash(absl::string_view(chunk).substr(0, got));
  }
  hashed = true;
  return absl::OkStatus();
}

void UploadState::Hash(absl::string_view bytes) {
  whole.Update(bytes);
  size += static_cast<int64_t>(bytes.size());
  while (!bytes.empty()) {
    absl::string_view piece = bytes.substr(0, kBlobPartBytes - part_size_);
    part_.Update(piece);
    part_size_ += static_cast<int64_t>(piece.size());
    bytes.remove_prefix(piece.size());
    if (part_size_ == kBlobPartBytes) {
      parts_ += absl::HexStringToBytes(std::exchange(part_, Sha256()).Finish());
      part_size_ = 0;
    }
  }
}

std::string UploadState::FinishParts() {
  if (part_size_ > 0) parts_ += absl::HexStringToBytes(std::exchange(part_, Sha256()).Finish());
  part_size_ = 0;
  return parts_;
}

Upload::Upload(BlobStore* store, std::shared_ptr<UploadState> state, int64_t size, bool complete)
    : store_(store), state_(std::move(state)), size_(size), complete_(complete) {}

Upload::~Upload() {
  if (state_ != nullptr) store_->Release(*state_, /*forget=*/false);
}

void Upload::Discard() {
  if (state_ != nullptr) store_->Release(*std::exchange(state_, nullptr), /*forget=*/true);
}

int64_t Upload::committed_size() const { return state_ == nullptr ? size_ : state_->size.load(); }

absl::Status Upload::Append(int64_t offset, absl::string_view bytes) {
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
  if (!state_->hashed)
    return absl::FailedPreconditionError("an earlier write failed; resume the upload");
  absl::Status written = store_->disk_->Write(state_->file.get(), bytes, state_->path);
  if (!written.ok()) {
    state_->hashed = false;  // nobody knows how much of it is in the file: Open looks
    return written;
  }
  state_->Hash(bytes);
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
  const std::string& expected = state_->key.first;
  const std::string found = state_->whole.Finish();
  absl::Status status = found == expected
                            ? store_->Publish(*state_)
                            : absl::InvalidArgumentError(absl::StrCat("the bytes have SHA-256 ",
                                                                      found, ", not ", expected));
  Discard();
  complete_ = status.ok();
  return status;
}

}  // namespace radiograph
