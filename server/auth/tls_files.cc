#include "server/auth/tls_files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr int64_t kPemBytesMax = 1 << 20;

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

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::StatusOr<std::string> ReadPem(const WatchedFile& file) {
  return file.path().empty() ? std::string() : ReadFile(file.path(), kPemBytesMax);
}

}  // namespace

absl::Status CheckPems(const TlsPems& pems) {
  const auto certificate = FirstOf<Certificate>(pems.certificates, &PEM_read_bio_X509);
  if (certificate == nullptr) return Wrong("the certificate file holds no certificate in PEM");
  const auto key = FirstOf<Key>(pems.key, &PEM_read_bio_PrivateKey);
  if (key == nullptr) return Wrong("the key file holds no private key in PEM without password");
  const bool fit = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!fit) return Wrong("the key is not that of the certificate");
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return Wrong("the certificate has expired");
  }
  if (!pems.client_authority.empty() &&
      FirstOf<Certificate>(pems.client_authority, &PEM_read_bio_X509) == nullptr) {
    return Wrong("the file of the clients' authority holds no certificate in PEM");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<TlsFiles>> TlsFiles::Open(const Paths& paths) {
  auto files = std::unique_ptr<TlsFiles>(new TlsFiles(paths));
  files->Changed();
  RETURN_IF_ERROR(files->Read());
  return files;
}

bool TlsFiles::Changed() {
  const bool certificates = certificates_.Changed(), key = key_.Changed();
  return client_authority_.Changed() || certificates || key;
}

absl::Status TlsFiles::Read() {
  auto pems = std::make_shared<TlsPems>();
  ASSIGN_OR_RETURN(pems->certificates, ReadPem(certificates_));
  ASSIGN_OR_RETURN(pems->key, ReadPem(key_));
  ASSIGN_OR_RETURN(pems->client_authority, ReadPem(client_authority_));
  if (!client_authority_.path().empty() && pems->client_authority.empty()) {
    return Wrong(absl::StrCat(client_authority_.path(), " is empty"));
  }
  if (const absl::Status status = CheckPems(*pems); !status.ok()) {
    return Wrong(absl::StrCat("TLS with ", certificates_.path(), " and ", key_.path(), ": ",
                              status.message()));
  }
  absl::MutexLock lock(&mu_);
  current_ = std::move(pems);
  return absl::OkStatus();
}

void TlsFiles::Reload() {
  if (!Changed()) return;
  if (const absl::Status status = Read(); !status.ok()) {
    Log(LogLevel::kError, "certificate_refused", {{"error", std::string(status.message())}});
  } else {
    Log(LogLevel::kInfo, "certificate_loaded", {{"file", certificates_.path()}});
  }
}

std::shared_ptr<const TlsPems> TlsFiles::Current() const {
  absl::MutexLock lock(&mu_);
  return current_;
}

}  // namespace radiograph
