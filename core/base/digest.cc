#include "core/base/digest.h"

#include <endian.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "absl/strings/escaping.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace radiograph {

// OpenSSL's EVP does not show chaining values, so this is its older interface, deprecated since 3.0
// but there: the same assembly below.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

struct Sha256::Context {
  Context() { SHA256_Init(&sha); }
  SHA256_CTX sha;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::Sha256(absl::string_view chaining_value, int64_t size) : Sha256() {
  if (chaining_value.size() != kChainingValueBytes || size < 0 || size % kBlockBytes != 0) {
    std::abort();
  }
  SHA256_CTX& sha = context_->sha;
  for (int i = 0; i < 8; ++i) {
    uint32_t word;
    memcpy(&word, &chaining_value[4 * i], 4);
    sha.h[i] = be32toh(word);
  }
  const uint64_t bits = static_cast<uint64_t>(size) * 8;
  sha.Nl = static_cast<SHA_LONG>(bits);
  sha.Nh = static_cast<SHA_LONG>(bits >> 32);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(absl::string_view bytes) {
  SHA256_Update(&context_->sha, bytes.data(), bytes.size());
}

std::string Sha256::ChainingValue() const {
  const SHA256_CTX& sha = context_->sha;
  if (sha.num != 0) std::abort();  // bytes of an unfinished block are not in it yet
  std::string value(kChainingValueBytes, '\0');
  for (int i = 0; i < 8; ++i) {
    const uint32_t word = htobe32(sha.h[i]);
    memcpy(&value[4 * i], &word, 4);
  }
  return value;
}

std::string Sha256::Finish() {
  char digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(reinterpret_cast<unsigned char*>(digest), &context_->sha);
  return absl::BytesToHexString(absl::string_view(digest, sizeof(digest)));
}

#pragma GCC diagnostic pop

std::string Sha256Hex(absl::string_view bytes) {
  Sha256 sha;
  sha.Update(bytes);
  return sha.Finish();
}

absl::StatusOr<FileDigest> Sha256OfFile(const std::string& path) {
  constexpr int64_t kChunk = 1 << 20;
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  std::vector<char> chunk(kChunk);
  Sha256 sha;
  FileDigest result;
  while (true) {
    ASSIGN_OR_RETURN(int64_t got, ReadSome(fd.get(), absl::MakeSpan(chunk), path));
    if (got == 0) break;
    sha.Update(absl::string_view(chunk.data(), got));
    result.size += got;
  }
  result.sha256 = sha.Finish();
  return result;
}

bool IsSha256(absl::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace radiograph
