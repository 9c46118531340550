#include "server/auth/tls_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/credentials.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::StatusOr<std::string> ReadPem(const WatchedFile& file) {
  if (file.path().empty()) return std::string();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file.path(), kPemBytesMax));
  return std::string(WithoutByteOrderMark(text));
}

}  // namespace

absl::Status CheckPems(const TlsPems& pems) {
  if (!HoldsCertificate(pems.certificates)) {
    return Wrong("the certificate file holds no certificate in PEM");
  }
  if (!HoldsKey(pems.key)) {
    return Wrong("the key file holds no private key in PEM without password");
  }
  if (!KeyFits(pems.key, pems.certificates)) return Wrong("the key is not that of the certificate");
  if (HasExpired(pems.certificates)) return Wrong("the certificate has expired");
  if (!pems.client_authority.empty() && !HoldsCertificate(pems.client_authority)) {
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
