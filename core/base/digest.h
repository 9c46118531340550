// SHA-256 (FIPS 180-4), by OpenSSL. Digests are written as 64 lower-case hexadecimal digits.
#ifndef RADIOGRAPH_CORE_BASE_DIGEST_H_
#define RADIOGRAPH_CORE_BASE_DIGEST_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

// Hashes bytes as they come. Not for use from two threads at once.
//
// SHA-256 takes its input block after block, and all that it remembers of the blocks before is a
// chaining value (H(i) in FIPS 180-4, section 6.2.2). Those taken on the way make it possible to
// verify a range of a long input alone: a hash that starts at the range's first chaining value must
// come to its last one. Other bytes that do this, put between what is before and after the range,
// would be a collision of SHA-256 itself.
class Sha256 {
 public:
  static constexpr int64_t kBlockBytes = 64;
  static constexpr size_t kChainingValueBytes = 32;

  Sha256();
  // Goes on after `size` bytes, a multiple of kBlockBytes, that ended with this chaining value.
  Sha256(absl::string_view chaining_value, int64_t size);
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(absl::string_view bytes);
  // kChainingValueBytes that stand for all bytes so far: a multiple of kBlockBytes.
  std::string ChainingValue() const;
  // The digest of all bytes so far; the object can only be destroyed or assigned afterwards.
  std::string Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string Sha256Hex(absl::string_view bytes);

// The digest and size of a whole file, read in chunks.
struct FileDigest {
  std::string sha256;
  int64_t size = 0;
};
absl::StatusOr<FileDigest> Sha256OfFile(const std::string& path);

// True for 64 lower-case hexadecimal digits: nothing else is ever made into a file name.
bool IsSha256(absl::string_view text);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_DIGEST_H_
