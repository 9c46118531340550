#include "server/auth/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/credentials.h"
#include "core/base/file.h"
#include "server/auth/test_certificate.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MakeCertificate;
using testing::StatusIs;

TEST(CheckPems, SaysWhatDoesNotFit) {
  const TlsPems good = MakeCertificate("good"), other = MakeCertificate("other");
  EXPECT_OK(CheckPems(good));
  EXPECT_OK(CheckPems({good.certificates, good.key, other.certificates}));
  const std::pair<TlsPems, const char*> cases[] = {
      {{good.certificates, other.key, ""}, "not that of the certificate"},
      {{"", good.key, ""}, "no certificate"},
      {{good.certificates, "-----BEGIN", ""}, "no private key"},
      {{good.certificates, good.key, "nobody"}, "clients' authority"},
      {MakeCertificate("old", -60), "has expired"},
  };
  for (const auto& [pems, message] : cases) {
    EXPECT_THAT(CheckPems(pems), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  }
}

TEST(CheckClientTls, WhatIsNamedMustHoldWhatItIsNamedFor) {
  const TlsPems good = MakeCertificate("good"), other = MakeCertificate("other");
  const PemText none, ca{"--ca c", good.certificates}, cert{"--cert c", good.certificates},
      key{"--key k", good.key};
  EXPECT_OK(CheckClientTls(none, none, none));
  EXPECT_OK(CheckClientTls(ca, none, none));
  EXPECT_OK(CheckClientTls(ca, cert, key));
  EXPECT_OK(CheckClientTls({"--ca c", "# ours\n" + good.certificates}, none, none));
  struct Case {
    PemText authority, certificate, key;
    const char* message;
  };
  for (const Case& c : {
           Case{{"--ca c", ""}, none, none, "--ca c is empty; certificate in PEM is meant"},
           {{"--ca c", "\n"}, none, none, "--ca c holds no certificate in PEM"},
           {{"--ca c", good.key}, none, none, "--ca c holds no certificate"},
           {{"--ca c", good.certificates.substr(0, 300)}, none, none, "--ca c holds no"},
           {{"--ca c", std::string("\x30\x82\x01", 3)}, none, none, "--ca c holds no"},
           {ca, {"--cert c", ""}, key, "--cert c is empty"},
           {ca, {"--cert c", good.key}, key, "--cert c holds no certificate"},
           {ca, cert, {"--key k", ""}, "--key k is empty"},
           {ca, cert, {"--key k", good.certificates}, "--key k holds no private key"},
           {ca, cert, {"--key k", other.key}, "--key k is not the key of --cert c"},
           {ca, cert, none, "--cert c stands alone"},
           {ca, none, key, "--key k stands alone"},
           {none, cert, key, "no TLS without the authority"},
       }) {
    EXPECT_THAT(CheckClientTls(c.authority, c.certificate, c.key),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

class TlsFilesTest : public ::testing::Test {
 protected:
  TlsFilesTest()
      : folder_(*TemporaryFolder::Make()),
        paths_{folder_.path() + "/cert", folder_.path() + "/key", ""} {}
  void Write(const TlsPems& pems) {
    ASSERT_OK(WriteFileDurably(paths_.certificates, pems.certificates));
    ASSERT_OK(WriteFileDurably(paths_.key, pems.key));
  }
  TemporaryFolder folder_;
  TlsFiles::Paths paths_;
};

TEST_F(TlsFilesTest, StartsWithFilesThatFitOnly) {
  EXPECT_THAT(TlsFiles::Open(paths_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(paths_.certificates)));
  Write(MakeCertificate("a"));
  ASSERT_OK(WriteFile(paths_.key, MakeCertificate("b").key));
  EXPECT_THAT(TlsFiles::Open(paths_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(paths_.key), HasSubstr("not that of the certificate"))));
}

TEST_F(TlsFilesTest, ARenewalIsTakenUpOnceItIsWhole) {
  const TlsPems before = MakeCertificate("a"), after = MakeCertificate("a");
  Write(before);
  ASSERT_OK_AND_ASSIGN(const auto files, TlsFiles::Open(paths_));
  const auto held = files->Current();
  files->Reload();
  EXPECT_EQ(files->Current(), held) << "nothing has changed";
  ASSERT_OK(WriteFileDurably(paths_.certificates, after.certificates));
  files->Reload();
  EXPECT_EQ(files->Current(), held) << "the key is still the old one";
  ASSERT_OK(WriteFileDurably(paths_.key, after.key));
  files->Reload();
  EXPECT_EQ(files->Current()->certificates, after.certificates);
  EXPECT_EQ(files->Current()->key, after.key);
}

}  // namespace
}  // namespace radiograph
