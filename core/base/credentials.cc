#include "core/base/credentials.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr char kTokenForm[] = "a token is one line of printable ASCII characters without blanks";

template <typename... Parts>
absl::Status Wrong(absl::string_view source, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(source, " ", parts...));
}

absl::string_view WrongByte(char byte) {
  if (byte == '\n' || byte == '\r') return "an end of line with more behind it";
  if (byte == ' ' || byte == '\t') return "a blank";
  return "no printable ASCII character";
}

template <typename T, void (*kFree)(T*)>
struct Freed {
  void operator()(T* object) const { kFree(object); }
};
using Certificate = std::unique_ptr<X509, Freed<X509, &X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, &EVP_PKEY_free>>;

// A key that wants a password has none here: nobody is there to be asked.
int NoPassword(char*, int, int, void*) { return 0; }

// The first thing in a PEM text, or null.
template <typename T, typename Read>
T FirstOf(const std::string& pem, Read read) {
  std::unique_ptr<BIO, Freed<BIO, &BIO_free_all>> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  T object(read(bio.get(), nullptr, &NoPassword, nullptr));
  ERR_clear_error();
  return object;
}
Certificate FirstCertificate(const std::string& pem) {
  return FirstOf<Certificate>(pem, &PEM_read_bio_X509);
}
Key FirstKey(const std::string& pem) { return FirstOf<Key>(pem, &PEM_read_bio_PrivateKey); }

absl::Status CheckHolds(const PemText& pem, bool holds, absl::string_view what) {
  if (pem.source.empty() || holds) return absl::OkStatus();
  if (pem.text.empty()) return Wrong(pem.source, "is empty; ", what, " in PEM is meant");
  return Wrong(pem.source, "holds no ", what, " in PEM (-----BEGIN ...)");
}

}  // namespace

absl::string_view WithoutByteOrderMark(absl::string_view text) {
  absl::ConsumePrefix(&text, "\xef\xbb\xbf");
  return text;
}

bool IsUtf16(absl::string_view text) {
  return absl::StartsWith(text, "\xff\xfe") || absl::StartsWith(text, "\xfe\xff");
}

absl::StatusOr<std::string> ParseToken(absl::string_view source, absl::string_view text) {
  absl::string_view token = WithoutByteOrderMark(text);
  const size_t before = text.size() - token.size();
  if (absl::ConsumeSuffix(&token, "\n")) absl::ConsumeSuffix(&token, "\r");
  if (token.empty()) return Wrong(source, "is empty; ", kTokenForm);
  if (IsUtf16(text)) return Wrong(source, "is UTF-16; save it as ASCII or UTF-8");
  if (absl::StartsWith(token, "-----BEGIN ")) return Wrong(source, "is a PEM text, no token");
  for (size_t i = 0; i < token.size(); ++i) {
    if (absl::ascii_isgraph(static_cast<unsigned char>(token[i]))) continue;
    return Wrong(source, "is no token: byte ", before + i + 1, " is ", WrongByte(token[i]), "; ",
                 kTokenForm);
  }
  if (static_cast<int64_t>(token.size()) > kTokenBytesMax) {
    return Wrong(source, "holds more than ", kTokenBytesMax, " bytes; ", kTokenForm);
  }
  return std::string(token);
}

absl::StatusOr<std::string> ReadToken(absl::string_view flag, const std::string& path) {
  const std::string source = absl::StrCat(flag, " ", path);
  if (path.empty()) return Wrong(flag, "is empty; the name of a file is meant");
  absl::StatusOr<std::string> text = ReadFile(path, kPemBytesMax);
  if (!text.ok()) return Wrong(source, "can't be read: ", text.status().message());
  return ParseToken(source, *text);
}

absl::StatusOr<PemText> ReadPem(absl::string_view flag, const std::string& path) {
  if (path.empty()) return PemText();
  const std::string source = absl::StrCat(flag, " ", path);
  absl::StatusOr<std::string> text = ReadFile(path, kPemBytesMax);
  if (!text.ok()) return Wrong(source, "can't be read: ", text.status().message());
  return PemText{source, std::string(WithoutByteOrderMark(*text))};
}

bool HoldsCertificate(const std::string& pem) { return FirstCertificate(pem) != nullptr; }

bool HoldsKey(const std::string& pem) { return FirstKey(pem) != nullptr; }

bool KeyFits(const std::string& key, const std::string& certificates) {
  const Certificate certificate = FirstCertificate(certificates);
  const Key private_key = FirstKey(key);
  const bool fits = certificate != nullptr && private_key != nullptr &&
                    X509_check_private_key(certificate.get(), private_key.get()) == 1;
  ERR_clear_error();
  return fits;
}

bool HasExpired(const std::string& certificates) {
  const Certificate certificate = FirstCertificate(certificates);
  return certificate != nullptr && X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0;
}

absl::Status CheckClientTls(const PemText& authority, const PemText& certificate,
                            const PemText& key) {
  RETURN_IF_ERROR(CheckHolds(authority, HoldsCertificate(authority.text), "certificate"));
  RETURN_IF_ERROR(CheckHolds(certificate, HoldsCertificate(certificate.text), "certificate"));
  RETURN_IF_ERROR(CheckHolds(key, HoldsKey(key.text), "private key without password"));
  if (certificate.source.empty() != key.source.empty()) {
    return Wrong(certificate.source.empty() ? key.source : certificate.source,
                 "stands alone; a client's certificate and its key are given together");
  }
  if (certificate.source.empty()) return absl::OkStatus();
  if (authority.source.empty()) {
    return Wrong(certificate.source,
                 "is a client's certificate for TLS, and there is no TLS without the authority "
                 "that signs the server's");
  }
  if (!KeyFits(key.text, certificate.text)) {
    return Wrong(key.source, "is not the key of ", certificate.source);
  }
  return absl::OkStatus();
}

}  // namespace radiograph
