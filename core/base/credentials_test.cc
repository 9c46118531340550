#include "core/base/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::StatusIs;

TEST(ParseToken, DropsAByteOrderMarkAndOneEndOfLine) {
  for (const char* text :
       {"s3cret", "s3cret\n", "s3cret\r\n", "\xef\xbb\xbfs3cret", "\xef\xbb\xbfs3cret\r\n"}) {
    const absl::StatusOr<std::string> token = ParseToken("RADIOGRAPH_TOKEN", text);
    ASSERT_OK(token) << text;
    EXPECT_EQ(*token, "s3cret");
  }
  EXPECT_OK(ParseToken("x", "!~-._=/+"));
  EXPECT_OK(ParseToken("x", std::string(kTokenBytesMax, 'a')));
}

TEST(ParseToken, TellsTheFirstWrongByteAndNoPartOfTheToken) {
  struct Case {
    std::string text;
    const char* message;
  };
  for (const Case& c : {
           Case{"", "is empty; a token is one line"},
           {"\n", "is empty"},
           {"\xef\xbb\xbf\r\n", "is empty"},
           {"s3cret\nother\n", "byte 7 is an end of line with more behind it"},
           {"s3cret\n\n", "byte 7 is an end of line"},
           {"s3cret\rother", "byte 7 is an end of line"},
           {"s3cret\r", "byte 7 is an end of line"},
           {" s3cret", "byte 1 is a blank"},
           {"s3cret \n", "byte 7 is a blank"},
           {"s3\tcret", "byte 3 is a blank"},
           {"\xef\xbb\xbfs3 cret", "byte 6 is a blank"},
           {"s3cretschl\xc3\xbcssel",
            "byte 11 is no printable ASCII character; a token is one line"},
           {"\xef\xbb\xbf\xef\xbb\xbfs3cret", "byte 4 is no printable"},
           {std::string("s\0003\000c\000r", 7), "byte 2 is no printable"},
           {std::string("\xff\xfes\0003\000c", 7), "is UTF-16"},
           {std::string("\xfe\xff\000s\0003", 6), "is UTF-16"},
           {"s3cret\x7f", "byte 7 is no printable"},
           {"\x89PNG\r\n\x1a\ns3cret", "byte 1 is no printable"},
           {"-----BEGIN PRIVATE KEY-----\ns3cret\n", "is a PEM text, no token"},
           {std::string(kTokenBytesMax + 1, 's'), "more than 4096 bytes"},
       }) {
    const absl::Status status = ParseToken("RADIOGRAPH_TOKEN", c.text).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 AllOf(StartsWith("RADIOGRAPH_TOKEN "), HasSubstr(c.message))));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("s3c")));
    EXPECT_LT(status.message().size(), 200u);
  }
}

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() : folder_(*TemporaryFolder::Make()) {}
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(folder_.path(), "/", name);
    EXPECT_OK(WriteFile(path, text));
    return path;
  }
  TemporaryFolder folder_;
};

TEST_F(FilesTest, ATokenFileIsNamedInItsError) {
  EXPECT_EQ(*ReadToken("--token-file", Write("good", "s3cret\n")), "s3cret");
  const std::string two = Write("two", "s3cret\nother\n");
  EXPECT_THAT(ReadToken("--token-file", two),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       StartsWith(absl::StrCat("--token-file ", two, " is no token: byte 7"))));
  const std::string none = folder_.path() + "/none";
  EXPECT_THAT(
      ReadToken("--token-file", none),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(StartsWith(absl::StrCat("--token-file ", none)), HasSubstr("No such file"))));
  EXPECT_THAT(ReadToken("--token-file", folder_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Is a directory")));
  EXPECT_THAT(ReadToken("--token-file", ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--token-file is empty")));
}

TEST_F(FilesTest, APemFileIsReadWithoutItsByteOrderMark) {
  const PemText pem = *ReadPem("--ca", Write("ca", "\xef\xbb\xbf-----BEGIN"));
  EXPECT_EQ(pem.text, "-----BEGIN");
  EXPECT_EQ(ReadPem("--ca", "")->source, "");
  EXPECT_THAT(
      ReadPem("--ca", "/nowhere/ca.pem"),
      StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("--ca /nowhere/ca.pem can't")));
}

}  // namespace
}  // namespace radiograph
