#include "server/store/blob_hash.h"

#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr size_t kValueBytes = Sha256::kChainingValueBytes;

}  // namespace

absl::StatusOr<BlobHash> BlobHash::OfFile(int fd, const std::string& path) {
  BlobHash hash;
  std::string chunk(1 << 20, '\0');
  while (true) {
    ASSIGN_OR_RETURN(int64_t got, ReadSome(fd, absl::MakeSpan(chunk), path));
    if (got == 0) return hash;
    hash.Update(absl::string_view(chunk).substr(0, got));
  }
}

void BlobHash::Update(absl::string_view bytes) {
  while (!bytes.empty()) {
    const int64_t in_part = size_ % kBlobPartBytes;
    if (in_part == 0 && size_ > 0) chain_ += hash_.ChainingValue();
    const absl::string_view piece = bytes.substr(0, kBlobPartBytes - in_part);
    hash_.Update(piece);
    size_ += static_cast<int64_t>(piece.size());
    bytes.remove_prefix(piece.size());
  }
}

size_t ChainBytes(int64_t size) {
  return size == 0 ? 0 : static_cast<size_t>((size - 1) / kBlobPartBytes) * kValueBytes;
}

bool IsIntact(absl::string_view part, int64_t index, int64_t size, absl::string_view chain,
              absl::string_view sha256) {
  const int64_t begin = index * kBlobPartBytes, end = begin + static_cast<int64_t>(part.size());
  Sha256 hash;
  if (index > 0) hash = Sha256(chain.substr((index - 1) * kValueBytes, kValueBytes), begin);
  hash.Update(part);
  return end == size ? hash.Finish() == sha256
                     : hash.ChainingValue() == chain.substr(index * kValueBytes, kValueBytes);
}

}  // namespace radiograph
