#include "server/rpc/struct.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/catalog/params.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

google::protobuf::Struct With(const std::string& key, const google::protobuf::Value& value) {
  google::protobuf::Struct result;
  (*result.mutable_fields())[key] = value;
  return result;
}

TEST(Struct, JsonSurvives) {
  const Json json = Json::parse(
      R"({"a": null, "b": true, "c": 1.5, "d": "text", "e": [1, [], {"x": {}}], "f": {"y": -3}})");
  ASSERT_OK_AND_ASSIGN(const Json back, JsonOfStruct(StructOfJson(json), "params"));
  EXPECT_EQ(back, json);
}

TEST(Struct, WholeNumbersAreIntegers) {
  google::protobuf::Value value;
  value.set_number_value(9007199254740991);
  ASSERT_OK_AND_ASSIGN(Json json, JsonOfStruct(With("n", value), "params"));
  EXPECT_TRUE(json["n"].is_number_integer());
  EXPECT_EQ(json.dump(), R"({"n":9007199254740991})");
  value.set_number_value(9007199254740992);
  ASSERT_OK_AND_ASSIGN(json, JsonOfStruct(With("n", value), "params"));
  EXPECT_TRUE(json["n"].is_number_float()) << "2^53 may have been rounded";
}

TEST(Struct, WhatIsNoJsonIsAViolationThatNamesTheField) {
  google::protobuf::Struct given;
  (*given.mutable_fields())["nan"].set_number_value(std::nan(""));
  (*given.mutable_fields())["inf"].set_number_value(INFINITY);
  (*given.mutable_fields())["nothing"];
  const absl::Status status = JsonOfStruct(given, "params").status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               AllOf(HasSubstr("params.nan is nan"), HasSubstr("params.inf"),
                                     HasSubstr("params.nothing is a Value without kind"))));
  EXPECT_EQ(ViolationsOf(status).size(), 3u);
}

TEST(Struct, DepthHasALimit) {
  google::protobuf::Value value;
  google::protobuf::Value* innermost = &value;
  for (int i = 0; i < 1000; ++i) innermost = innermost->mutable_list_value()->add_values();
  EXPECT_THAT(JsonOfStruct(With("deep", value), "params"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("deeper than 16")));
}

TEST(Struct, SizeHasALimit) {
  google::protobuf::Value value;
  for (int i = 0; i <= kStructValuesMax; ++i) {
    value.mutable_list_value()->add_values()->set_bool_value(true);
  }
  EXPECT_THAT(JsonOfStruct(With("many", value), "params"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("200000 values")));
}

}  // namespace
}  // namespace radiograph
