#include "client/cli/params.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "client/cli/describe.h"
#include "core/base/file.h"
#include "core/catalog/spec_builder.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

struct Everything {
  bool centre = false;
  int64_t k = 20;
  double rate = 0.5;
  std::string title;
  std::vector<int64_t> shape;
  std::vector<std::string> words;
  std::map<std::string, std::string> tensors;
  std::optional<int64_t> draws;
};

v1::Analysis Everyone() {
  return Describe(SpecOf<Everything>("test.everything", 1, "All kinds.")
                      .Param("centre", &Everything::centre, {}, "a switch")
                      .Param("k", &Everything::k, {.min = 1, .max = 4096}, "a count")
                      .Param("rate", &Everything::rate, {}, "a number")
                      .Param("title", &Everything::title, {}, "a text")
                      .Param("shape", &Everything::shape, {.min = 1}, "a list")
                      .Param("words", &Everything::words, {}, "a list of texts")
                      .Param("tensors", &Everything::tensors, {}, "a map")
                      .Param("draws", &Everything::draws, {.min = 0}, "an optional"))
      .value();
}

absl::StatusOr<Json> Read(std::vector<std::string> arguments) {
  const std::vector<FlagSpec> flags = {
      {.name = "param", .value = "NAME=VALUE", .help = "", .repeated = true},
      {.name = "params", .value = "FILE", .help = ""}};
  return ReadParams(Everyone(), Args::Parse(flags, arguments).value());
}

TEST(Params, AValueIsReadByTheTypeOfItsParameter) {
  struct Case {
    const char* argument;
    const char* json;
  };
  for (const Case& c : std::vector<Case>{
           {"centre=true", R"({"centre":true})"},
           {"k=7", R"({"k":7})"},
           {"rate=1e-3", R"({"rate":0.001})"},
           {"title=7", R"({"title":"7"})"},
           {"title=", R"({"title":""})"},
           {"title=null", R"({"title":"null"})"},
           {"shape=8,8", R"({"shape":[8,8]})"},
           {"shape=[3, 8, 8]", R"({"shape":[3,8,8]})"},
           {"shape=", R"({"shape":[]})"},
           {"words=a, b", R"({"words":["a","b"]})"},
           {"tensors=left=w.l,right=w=r", R"({"tensors":{"left":"w.l","right":"w=r"}})"},
           {"tensors={\"left\":\"x\"}", R"({"tensors":{"left":"x"}})"},
           {"draws=null", R"({"draws":null})"},
           {"draws=3", R"({"draws":3})"}}) {
    ASSERT_OK_AND_ASSIGN(Json params, Read({"--param", c.argument}));
    EXPECT_EQ(params.dump(), c.json) << c.argument;
  }
}

TEST(Params, WhatDoesNotFitIsRefusedByNameAndValue) {
  struct Case {
    const char* argument;
    const char* message;
  };
  for (const Case& c : std::vector<Case>{
           {"centre=yes", "params.centre is \"yes\"; true or false is allowed"},
           {"k=seven", "params.k is \"seven\"; an integer"},
           {"k=1.5", "params.k is \"1.5\""},
           {"k=9007199254740992",
            "params.k is \"9007199254740992\"; an integer of at most 9007199254740991"},
           {"rate=nan", "params.rate is \"nan\"; a number"},
           {"shape=8,x", "params.shape is \"x\"; an integer"},
           {"shape=[9007199254740993]", "params.shape is 9007199254740993"},
           {"tensors=left", "params.tensors is \"left\"; NAME=VALUE"},
           {"centr=true", "params.centr is no parameter of test.everything; nearest: centre"}}) {
    EXPECT_THAT(Read({"--param", c.argument}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(Params, AFileComesFirstAndParamGoesOverIt) {
  ASSERT_OK_AND_ASSIGN(TemporaryFolder folder, TemporaryFolder::Make());
  const std::string path = folder.path() + "/p.json";
  ASSERT_OK(WriteFile(path, R"({"k": 3, "rate": 2})"));
  ASSERT_OK_AND_ASSIGN(Json params, Read({"--params", path, "--param", "k=4"}));
  EXPECT_EQ(params.dump(), R"({"k":4,"rate":2})");
  ASSERT_OK(WriteFile(path, "[1]"));
  EXPECT_THAT(Read({"--params", path}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(path), HasSubstr("not a JSON object"))));
}

TEST(Params, HelpTellsTypeRangeAndDefault) {
  ASSERT_OK_AND_ASSIGN(TextTable table, ParamTable(Everyone()));
  std::string text;
  for (const auto& row : table.rows)
    text += row[0] + "|" + row[1] + "|" + row[2] + "|" + row[3] + "\n";
  EXPECT_THAT(text, HasSubstr("k|integer 1..4096|20|a count\n"));
  EXPECT_THAT(text, HasSubstr("draws|integer 0..?|null|an optional\n"));
  EXPECT_THAT(text, HasSubstr("shape|list of integer 1..|[]|a list\n"));
}

}  // namespace
}  // namespace radiograph::cli
