#include "server/auth/authorization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::StatusIs;

class AuthorizationTest : public ::testing::Test {
 protected:
  AuthorizationTest() : folder_(*TemporaryFolder::Make()) {
    const std::string path = folder_.path() + "/tokens";
    EXPECT_OK(WriteFile(path, absl::StrCat(Sha256Hex("reads"), " vision read reader\n",
                                           Sha256Hex("works"), " * worker gpus\n")));
    auto tokens = Tokens::Open(path);
    EXPECT_OK(tokens);
    tokens_ = *std::move(tokens);
    authorization_ = std::make_unique<Authorization>(
        tokens_.get(), "embedded", [this](Refusal refusal) { refusals_.push_back(refusal); });
  }
  absl::StatusOr<Caller> Check(Scopes scopes, absl::string_view header) {
    return authorization_->Check("this", scopes, header);
  }
  TemporaryFolder folder_;
  std::unique_ptr<Tokens> tokens_;
  std::unique_ptr<Authorization> authorization_;
  std::vector<Refusal> refusals_;
};

TEST_F(AuthorizationTest, TheTokenSaysWhoCalls) {
  ASSERT_OK_AND_ASSIGN(Caller caller, Check(kRead | kWorker, "Bearer reads"));
  EXPECT_EQ(caller.tenant, "vision");
  EXPECT_EQ(caller.token_name, "reader");
  EXPECT_FALSE(caller.embedded);
  ASSERT_OK_AND_ASSIGN(caller, Check(kRead | kWorker, "bearer works"));
  EXPECT_EQ(caller.tenant, kEveryTenant);
  ASSERT_OK_AND_ASSIGN(caller, Check(kWorker, "Bearer embedded"));
  EXPECT_EQ(caller.tenant, kEveryTenant);
  EXPECT_TRUE(caller.embedded);
}

TEST_F(AuthorizationTest, RefusalsAreCountedByReasonAndTellNoToken) {
  EXPECT_THAT(Check(kRead, ""),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("wants a token")));
  for (const char* header : {"Bearer secret", "Basic secret"}) {
    const absl::Status status = Check(kRead, header).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
  }
  EXPECT_THAT(Check(kSubmit | kWorker, "Bearer reads"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("submit or worker"), HasSubstr("reader"))));
  EXPECT_THAT(refusals_, ElementsAre(Refusal::kNoToken, Refusal::kUnknownToken, Refusal::kNotBearer,
                                     Refusal::kWrongScope));
}

TEST(Authorization, WithoutTokensAllAreOneTenantWithAllScopes) {
  const Authorization authorization(nullptr, "embedded");
  for (const char* header : {"", "Bearer of-another-server"}) {
    ASSERT_OK_AND_ASSIGN(const Caller caller, authorization.Check("this", kAdmin, header));
    EXPECT_EQ(caller.tenant, kDefaultTenant);
    EXPECT_FALSE(caller.embedded);
  }
  ASSERT_OK_AND_ASSIGN(const Caller caller,
                       authorization.Check("this", kWorker, "Bearer embedded"));
  EXPECT_TRUE(caller.embedded);
  EXPECT_THAT(authorization.Check("this", kSubmit, "Bearer embedded"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("own worker")));
}

}  // namespace
}  // namespace radiograph
