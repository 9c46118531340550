#include "server/auth/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
