// The SHA-256 of a blob, and what is kept of it so that parts can be verified alone.
#ifndef RADIOGRAPH_SERVER_STORE_BLOB_HASH_H_
#define RADIOGRAPH_SERVER_STORE_BLOB_HASH_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/digest.h"

namespace radiograph {

inline constexpr int64_t kBlobPartBytes = 4 << 20;  // verified as one

// Hashes a blob as it comes and keeps its chain: the hash's chaining values (core/base/digest.h)
// where one part ends and the next begins.
class BlobHash {
 public:
  // Hashes a file from where it is read next to its end.
  static absl::StatusOr<BlobHash> OfFile(int fd, const std::string& path);

  void Update(absl::string_view bytes);
  int64_t size() const { return size_; }
  const std::string& chain() const { return chain_; }
  // The digest; nothing can follow.
  std::string Finish() { return hash_.Finish(); }

 private:
  Sha256 hash_;
  int64_t size_ = 0;
  std::string chain_;
};

// How long the chain of a blob of `size` bytes is.
size_t ChainBytes(int64_t size);
// Whether part `index` of the blob is what was hashed: it leads from the chaining value at its
// beginning to the one at its end, the last part to the digest. `chain` must be of
// ChainBytes(size).
bool IsIntact(absl::string_view part, int64_t index, int64_t size, absl::string_view chain,
              absl::string_view sha256);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_BLOB_HASH_H_
