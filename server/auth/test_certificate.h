// For tests: certificates made as they are needed.
#ifndef RADIOGRAPH_SERVER_AUTH_TEST_CERTIFICATE_H_
#define RADIOGRAPH_SERVER_AUTH_TEST_CERTIFICATE_H_

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "server/auth/tls_files.h"

namespace radiograph::testing {

inline std::string Drain(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, size);
  BIO_free(bio);
  return text;
}

// A certificate that signs itself, for `name` and 127.0.0.1, from an hour ago to `seconds` from
// now.
inline TlsPems MakeCertificate(const std::string& name, long seconds = 3600) {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), &X509_free);
  X509_set_version(x509.get(), 2);
  X509_gmtime_adj(X509_getm_notBefore(x509.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x509.get()), seconds);
  X509_set_pubkey(x509.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(x509.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509.get(), subject);
  const std::string names = "DNS:" + name + ",IP:127.0.0.1";
  X509_EXTENSION* extension =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
  X509_add_ext(x509.get(), extension, -1);
  X509_EXTENSION_free(extension);
  EXPECT_GT(X509_sign(x509.get(), key.get(), EVP_sha256()), 0);
  BIO *certificate = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(certificate, x509.get());
  PEM_write_bio_PrivateKey(secret, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {.certificates = Drain(certificate), .key = Drain(secret), .client_authority = ""};
}

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_SERVER_AUTH_TEST_CERTIFICATE_H_
