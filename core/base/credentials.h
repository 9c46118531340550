// What a client shows to a server, checked where it is read: a token, and the PEM texts of TLS.
// A library that gets other bytes than it expects may abort and print them (gRPC does both with a
// token that is no printable ASCII), or leave out the TLS that was asked for.
//
// Every error is INVALID_ARGUMENT and begins with `source`, the flag, variable or setting that the
// bytes came from ("--token-file my.token", "RADIOGRAPH_TOKEN"). None holds a part of a secret.
#ifndef RADIOGRAPH_CORE_BASE_CREDENTIALS_H_
#define RADIOGRAPH_CORE_BASE_CREDENTIALS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

// Far above what anybody makes, and below the 16 KiB of metadata that a server takes.
inline constexpr int64_t kTokenBytesMax = 4096;
inline constexpr int64_t kPemBytesMax = 1 << 20;

// `text` without the byte order mark of UTF-8.
absl::string_view WithoutByteOrderMark(absl::string_view text);
// By its byte order mark.
bool IsUtf16(absl::string_view text);

// One line of printable ASCII without blanks; a byte order mark of UTF-8 before it and one end of
// line behind it are dropped. The error tells the position of the first wrong byte, from 1.
absl::StatusOr<std::string> ParseToken(absl::string_view source, absl::string_view text);
// The token of a file; `flag` and the path are the source.
absl::StatusOr<std::string> ReadToken(absl::string_view flag, const std::string& path);

// A PEM text and where it comes from; without a source it was not given.
struct PemText {
  std::string source, text;
};
// Nothing for an empty path; an error for a file that can't be read.
absl::StatusOr<PemText> ReadPem(absl::string_view flag, const std::string& path);

// What gRPC would find in a PEM text. A key that asks for a password is none.
bool HoldsCertificate(const std::string& pem);
bool HoldsKey(const std::string& pem);
// Of the first certificate.
bool KeyFits(const std::string& key, const std::string& certificates);
bool HasExpired(const std::string& certificates);

// The TLS of a client: `authority` signs the server's certificate, the other two are the client's
// own. What was given must hold what it is named for; certificate and key are given together, fit,
// and need an authority, without which there would be no TLS.
absl::Status CheckClientTls(const PemText& authority, const PemText& certificate,
                            const PemText& key);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_CREDENTIALS_H_
