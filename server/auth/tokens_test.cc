#include "server/auth/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::StatusIs;

// `$` stands for the digest of "secret".
std::string Text(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"$", Sha256Hex("secret")}});
}

TEST(ParseTokens, ReadsTenantScopesAndName) {
  ASSERT_OK_AND_ASSIGN(
      const std::vector<Token> tokens,
      ParseTokens(Text("# who may\n\n$ vision\tread,submit   ci.of-vision # nightly\r\n") +
                  Sha256Hex("w") + " * worker gpus\n" + Sha256Hex("a") + " ops admin root"));
  ASSERT_EQ(tokens.size(), 3);
  EXPECT_EQ(tokens[0].sha256, Sha256Hex("secret"));
  EXPECT_EQ(tokens[0].tenant, "vision");
  EXPECT_EQ(tokens[0].name, "ci.of-vision");
  EXPECT_EQ(tokens[0].scopes, kRead | kSubmit);
  EXPECT_EQ(tokens[1].scopes, kWorker);
  EXPECT_EQ(tokens[2].scopes, kRead | kSubmit | kAdmin) << "admin may do what submit may";
}

TEST(ParseTokens, SaysWhichLineIsWrongAndHow) {
  struct Case {
    const char *name, *text, *message;
  };
  const Case cases[] = {
      {"empty", "# nobody\n", "no token"},
      {"too few words", "\n$ vision read", "line 2: has 3 words"},
      {"too many words", "$ vision read a b", "line 1: has 5 words"},
      {"unknown scope", "$ vision write x", "scope 'write' is unknown; read, submit, admin"},
      {"empty scope", "$ vision read, x", "scope '' is unknown"},
      {"worker and more", "$ * worker,read x", "worker stands alone"},
      {"worker of a tenant", "$ vision worker x", "tenant 'vision'"},
      {"everybody's reader", "$ * read x", "tenant '*' is not"},
      {"name of a tenant", "$ a.b read x", "tenant 'a.b' is not 1..64"},
      {"name", "$ a read x/y", "name 'x/y'"},
      {"the same token", "$ a read x\n$ a read y", "line 2: the token of line 1"},
      {"the same name",
       "$ a read x\n0000000000000000000000000000000000000000000000000000000000000000 b read x",
       "line 2: name 'x' is that of line 1"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(ParseTokens(Text(c.text)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.name;
  }
}

TEST(ParseTokens, TakesWhatOtherToolsWrite) {
  const std::string line = Text("$ vision read x"), upper = absl::AsciiStrToUpper(Sha256Hex("w"));
  for (const std::string& text :
       {"\xef\xbb\xbf" + line, line + "\r\n# more\r\n", "\xef\xbb\xbf# first\r\n" + line + "\r\n",
        absl::AsciiStrToUpper(Sha256Hex("secret")) + " vision read x\n"}) {
    ASSERT_OK_AND_ASSIGN(const std::vector<Token> tokens, ParseTokens(text));
    ASSERT_EQ(tokens.size(), 1);
    EXPECT_EQ(tokens[0].sha256, Sha256Hex("secret"));
  }
  EXPECT_THAT(ParseTokens(upper + " a read x\n" + Sha256Hex("w") + " a read y"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the token of line 1")));
  EXPECT_THAT(ParseTokens("\xff\xfeT\0"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is UTF-16")));
}

TEST(ParseTokens, ATokenInThePlaceOfItsDigestIsNotTold) {
  const absl::Status status = ParseTokens("my-secret-token vision read x").status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               AllOf(HasSubstr("line 1"), HasSubstr("15 characters"))));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
}

TEST(ParseTokens, HasALimit) {
  std::string text;
  for (int i = 0; i <= kTokensMax; ++i) {
    absl::StrAppend(&text, Sha256Hex(absl::StrCat(i)), " t read n", i, "\n");
  }
  EXPECT_THAT(ParseTokens(text),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1000 tokens")));
}

class TokensTest : public ::testing::Test {
 protected:
  TokensTest() : folder_(*TemporaryFolder::Make()), path_(folder_.path() + "/tokens") {}
  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(TokensTest, FindsTheOwner) {
  ASSERT_OK(WriteFile(path_, Text("$ vision read x\n")));
  ASSERT_OK_AND_ASSIGN(const auto tokens, Tokens::Open(path_));
  EXPECT_EQ(tokens->Find("secret")->name, "x");
  for (const std::string& wrong : {std::string("Secret"), std::string(), Sha256Hex("secret")}) {
    EXPECT_EQ(tokens->Find(wrong), nullptr) << wrong;
  }
}

TEST_F(TokensTest, ABadFileIsRefusedWithItsName) {
  EXPECT_THAT(Tokens::Open(path_), StatusIs(absl::StatusCode::kNotFound, HasSubstr(path_)));
  ASSERT_OK(WriteFile(path_, "what"));
  EXPECT_THAT(Tokens::Open(path_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(path_ + ": line 1")));
  ASSERT_OK(WriteFile(path_, std::string(kTokensFileBytesMax + 1, ' ')));
  EXPECT_THAT(Tokens::Open(path_), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(path_)));
}

TEST_F(TokensTest, AChangedFileIsTakenUpAndABadOneIsNot) {
  ASSERT_OK(WriteFile(path_, Text("$ vision read x\n")));
  ASSERT_OK_AND_ASSIGN(const auto tokens, Tokens::Open(path_));
  const std::shared_ptr<const Token> held = tokens->Find("secret");
  tokens->Reload();
  EXPECT_EQ(tokens->Find("secret"), held) << "nothing has changed";
  ASSERT_OK(WriteFileDurably(path_, Sha256Hex("new") + " vision read y\n"));
  tokens->Reload();
  EXPECT_EQ(tokens->Find("secret"), nullptr);
  EXPECT_EQ(tokens->Find("new")->name, "y");
  ASSERT_OK(WriteFileDurably(path_, "half a li"));
  tokens->Reload();
  EXPECT_NE(tokens->Find("new"), nullptr);
  ASSERT_OK(RemoveTree(path_));
  tokens->Reload();
  EXPECT_NE(tokens->Find("new"), nullptr);
}

}  // namespace
}  // namespace radiograph
