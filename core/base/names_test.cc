#include "core/base/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using testing::StatusIs;

TEST(ParseName, TakesLettersOfAnyScript) {
  for (const char* name :
       {"digits", "org/net-1.2_x", "модель", "模型/第2", "μοντέλο", "نموذج", "मॉडल", "한국어",
        "ñandú", "Ⅻ", "a", "..", "./old", "a.safetensors", "-x"}) {
    const absl::StatusOr<std::string> parsed = ParseName(name);
    ASSERT_OK(parsed) << name;
    EXPECT_EQ(*parsed, name);
  }
  EXPECT_OK(ParseName(std::string(kNameBytesMax, 'a')));
}

TEST(ParseName, TwoWaysToWriteALetterAreOneName) {
  EXPECT_EQ(*ParseName("e\xcc\x81t\xc3\xa9"), "\xc3\xa9t\xc3\xa9");
  EXPECT_EQ(*ParseName("\xd0\xb8\xcc\x86"), "\xd0\xb9") << "й, as macOS writes it";
  EXPECT_EQ(*ParseName("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"), "\xed\x95\x9c") << "Hangul";
}

TEST(ParseName, WhatCanNotBeSeenOrMeansSomethingElseIsNoName) {
  for (const char* name : {"",
                           " a",
                           "a ",
                           "a b",
                           "a@1",
                           "a:b",
                           "a*",
                           "~",
                           "~/a",
                           "a\n",
                           "a\x01",
                           "a\\b",
                           "a\xc2\xa0",
                           "a\xe2\x80\x8b",
                           "a\xe2\x80\x8d",
                           "a\xe2\x80\xae"
                           "b",
                           "a\xef\xbb\xbf",
                           "\xef\xb8\x8f",
                           "a\xef\xb8\x8f",
                           "\xe1\x85\x9f",
                           "\xe3\x85\xa4",
                           "\xcc\x81"
                           "a",
                           "a/\xcc\x81"
                           "a",
                           "\xf0\x9f\x98\x80",
                           "a\xc2\xad",
                           "a\xee\x80\x80"}) {
    EXPECT_THAT(ParseName(name), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("letters, digits and . _ / - are allowed")))
        << name;
  }
  EXPECT_THAT(ParseName("a\xff"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'a\\xff' is no name, because it is not UTF-8")));
  EXPECT_THAT(ParseName("модель x"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'модель x' is no name")));
  EXPECT_THAT(ParseName(std::string(129, 'a')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("it has 129 bytes")));
}

TEST(CheckNewName, WhatACommandLineReadsAsAPathOrAFlagIsNoNewName) {
  for (const char* name : {"a", "a/b", "a.b", ".a", "a..b", "...", "модель"}) {
    EXPECT_OK(CheckNewName(name)) << name;
  }
  for (const char* name : {"./a", "../x", "/abs/name", ".", "..", "a/", "a//b", "a/../b", "a/.",
                           "a.safetensors", ".safetensors", "-a", "-"}) {
    EXPECT_THAT(CheckNewName(name), StatusIs(absl::StatusCode::kInvalidArgument,
                                             AllOf(HasSubstr(name), HasSubstr("is no name: "))));
  }
}

TEST(NameOf, KeepsWhatIsANameAndNeverMakesOneOutOfTwo) {
  EXPECT_EQ(NameOf("модель"), "модель");
  EXPECT_EQ(NameOf("e\xcc\x81"), "\xc3\xa9");
  const std::vector<std::string> texts = {"a b",
                                          "a_b ",
                                          " a_b",
                                          "a+b",
                                          "a@b",
                                          "a:b",
                                          "~",
                                          "~a",
                                          "..",
                                          ".",
                                          "/",
                                          "",
                                          "-a",
                                          "_a b",
                                          "a\xff",
                                          "a\xfe",
                                          "\xf0\x9f\x98\x80",
                                          "\xf0\x9f\x98\x81",
                                          "a/../b",
                                          "a//b c",
                                          "x.safetensors",
                                          std::string(200, 'a'),
                                          std::string(201, 'a'),
                                          std::string(130, 'b'),
                                          absl::StrCat(std::string(118, 'c'), "яяяяяяя"),
                                          "a\xe2\x80\x8b",
                                          "\xcc\x81",
                                          "a\nb"};
  std::set<std::string> names = {"a_b", "модель"};
  for (const std::string& text : texts) {
    const std::string name = NameOf(text);
    EXPECT_OK(ParseName(name)) << name;
    EXPECT_OK(CheckNewName(name));
    EXPECT_THAT(name, MatchesRegex("(.*-)?[0-9a-f]{8}")) << "from " << text;
    EXPECT_TRUE(names.insert(name).second) << name << " from " << text;
    EXPECT_EQ(NameOf(text), name);
  }
  EXPECT_THAT(NameOf("epoch 12"), MatchesRegex("epoch_12-[0-9a-f]{8}"));
}

TEST(Shown, ForeignTextIsAsItIsButForWhatCanNotBeSeen) {
  const std::pair<std::string, std::string> cases[] = {
      {"модель 模型 é \xf0\x9f\x98\x80", "модель 模型 é \xf0\x9f\x98\x80"},
      {"a\nb\x1b[31m", "a\\x0ab\\x1b[31m"},
      {"\xff\xfe", "\\xff\\xfe"},
      {"a\xe2\x80\xae"
       "b",
       "a\\xe2\\x80\\xaeb"},
      {"\xc2\x85", "\\xc2\\x85"},
      {"яя\xd1", "яя\\xd1"}};
  for (const auto& [given, shown] : cases) EXPECT_EQ(Shown(given), shown);
  for (size_t bytes = 0; bytes < 8; ++bytes) {
    EXPECT_TRUE(IsUtf8(Shown("яяяя", bytes))) << bytes;
    EXPECT_LE(Shown("яяяя", bytes).size(), bytes + 3);
  }
}

}  // namespace
}  // namespace radiograph
