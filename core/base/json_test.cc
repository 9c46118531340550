#include "core/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace radiograph {
namespace {

using ::testing::HasSubstr;

struct NumberCase {
  double value;
  const char* text;
};

// RFC 8785, appendix B, and the edges of the decimal forms.
TEST(JsonNumber, PrintsAsEcmaScriptDoes) {
  for (const NumberCase& c :
       std::initializer_list<NumberCase>{{0.0, "0"},
                                         {-0.0, "0"},
                                         {5e-324, "5e-324"},
                                         {-5e-324, "-5e-324"},
                                         {1.7976931348623157e308, "1.7976931348623157e+308"},
                                         {9007199254740992, "9007199254740992"},
                                         {-9007199254740992, "-9007199254740992"},
                                         {295147905179352830000.0, "295147905179352830000"},
                                         {9.999999999999997e22, "9.999999999999997e+22"},
                                         {1e23, "1e+23"},
                                         {1e21, "1e+21"},
                                         {999999999999999900000.0, "999999999999999900000"},
                                         {333333333.3333333, "333333333.3333333"},
                                         {0.000001, "0.000001"},
                                         {1e-7, "1e-7"},
                                         {1.0, "1"},
                                         {-1.5, "-1.5"},
                                         {100, "100"},
                                         {333333333.33333325, "333333333.33333325"},
                                         {1424953923781206.2, "1424953923781206.2"}}) {
    EXPECT_EQ(JsonNumber(c.value), c.text);
  }
}

TEST(CanonicalJson, SortsKeysByUtf16) {  // RFC 8785, 3.2.3
  auto value = ParseJson(
      R"({"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
      "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"})");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(*CanonicalJson(*value),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small "
            "Letter O With "
            "Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew "
            "Letter Dalet With "
            "Dagesh\"}");
}

TEST(CanonicalJson, RefusesWhatJsonCannotHold) {
  EXPECT_FALSE(CanonicalJson(Json(std::nan(""))).ok());
  EXPECT_FALSE(CanonicalJson(Json(std::numeric_limits<double>::infinity())).ok());
  EXPECT_TRUE(CanonicalJson(Json(int64_t{1} << 53)).ok());
  EXPECT_FALSE(CanonicalJson(Json((int64_t{1} << 53) + 1)).ok());
  EXPECT_FALSE(
      CanonicalJson(Json(uint64_t{1} << 63)).ok());  // a double's text is 9223372036854776000
  EXPECT_FALSE(CanonicalJson(Json("\xff")).ok());
}

TEST(CanonicalJson, StaysAsItIs) {
  for (double value : {1e17, 9007199254740994.0, 9223372036854775808.0, -1e20, 1e21, 1.5}) {
    std::string text = *CanonicalJson(Json(value));
    EXPECT_EQ(*CanonicalJson(*ParseJson(text)), text);
  }
}

TEST(ParseJson, RefusesNulAndWhatFollows) {
  auto value = ParseJson(absl::string_view("{}\0{}", 5));
  EXPECT_EQ(value.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(value.status().message()), HasSubstr("byte 2: NUL"));
}

TEST(JsonExcerpt, CutsBetweenCharacters) {
  EXPECT_EQ(JsonExcerpt("abc", 3), "\"abc\"");
  EXPECT_EQ(JsonExcerpt("abcd", 3), "\"abc...\"");
  EXPECT_EQ(JsonExcerpt("ab€", 4), "\"ab...\"");
}

TEST(ParseJson, RefusesLooseText) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& c : std::initializer_list<Case>{{R"({"a":1,"a":2})", "\"a\" appears twice"},
                                                   {"{} {}", "not JSON at byte"},
                                                   {"{\"a\":\"\xff\"}", "not JSON at byte"},
                                                   {"", "not JSON"},
                                                   {"// no\n1", "not JSON"},
                                                   {"[NaN]", "not JSON"}}) {
    auto value = ParseJson(c.text);
    ASSERT_FALSE(value.ok()) << c.text;
    EXPECT_EQ(value.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(value.status().message()), HasSubstr(c.message)) << c.text;
  }
}

TEST(ParseJson, HasLimits) {
  EXPECT_TRUE(ParseJson("[[[1]]]", {.depth_max = 3}).ok());
  EXPECT_FALSE(ParseJson("[[[1]]]", {.depth_max = 2}).ok());
  EXPECT_FALSE(ParseJson("[1, 2]", {.bytes_max = 5}).ok());
  EXPECT_FALSE(ParseJson(std::string(1 << 20, '[')).ok());
}

TEST(IsUtf8, KnowsOverlongFormsAndSurrogates) {
  EXPECT_TRUE(IsUtf8("aß€😀"));
  EXPECT_FALSE(IsUtf8("\xc0\xaf"));
  EXPECT_FALSE(IsUtf8("\xed\xa0\x80"));
  EXPECT_FALSE(IsUtf8("\xe2\x82"));
  EXPECT_FALSE(IsUtf8("\xf5\x80\x80\x80"));
}

TEST(ParseJson, ReadsPythonLiteralsAsNullWhenAsked) {
  JsonLimits foreign{.python_literals = true};
  absl::StatusOr<Json> read =
      ParseJson(R"({"a": NaN, "b": [-Infinity, Infinity], "NaN": "x\\\"NaN, -Infinity"})", foreign);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->dump(), R"({"NaN":"x\\\"NaN, -Infinity","a":null,"b":[null,null]})");
  EXPECT_FALSE(ParseJson("[NaN]").ok());
  EXPECT_EQ(ParseJson("NaN", foreign)->dump(), "null");
  EXPECT_EQ(ParseJson("\xEF\xBB\xBF[-Infinity ]", foreign)->dump(), "[null]");
  for (const char* wrong : {"[NaN1]", "[1NaN]", "[-NaN]", "[+Infinity]", "[nan]", "{NaN: 1}",
                            "[NaNNaN]", "[--Infinity]", "[\"NaN]", "[\"\\"}) {
    EXPECT_FALSE(ParseJson(wrong, foreign).ok()) << wrong;
  }
}

TEST(ParseJson, DropsAByteOrderMarkBeforeTheValueOnly) {
  EXPECT_EQ(ParseJson("\xEF\xBB\xBF{\"a\": 1}")->dump(), R"({"a":1})");
  for (const char* wrong :
       {"\xEF\xBB{}", "{}\xEF\xBB\xBF", "\xEF\xBB\xBF\xEF\xBB\xBF{}", "\xFF\xFE{"}) {
    EXPECT_FALSE(ParseJson(wrong).ok()) << wrong;
  }
}

}  // namespace
}  // namespace radiograph
