#include "core/catalog/params.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/json.h"
#include "core/catalog/sample_spec.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

absl::StatusOr<ParamValues> Normalize(absl::string_view json) {
  return NormalizeParams(SampleSpec(), *ParseJson(json));
}

std::string Canonical(const ParamValues& values) { return *CanonicalJson(ToJson(values)); }

TEST(NormalizeParams, FillsDefaultsForAbsentAndNull) {
  const char* defaults =
      R"({"centre":false,"k":20,"null_draws":null,"ode.alphas":[0.25],"other_space":null,"rows":[],)"
      R"("space":"input","tensors":{},"threshold":0.5,"title":"none","words":[]})";
  for (const char* given :
       {"{}", "null", R"({"k":null,"null_draws":null,"space":null,"rows":null})"}) {
    ASSERT_OK_AND_ASSIGN(ParamValues values, Normalize(given));
    EXPECT_EQ(Canonical(values), defaults) << given;
  }
}

TEST(NormalizeParams, TakesEveryKind) {
  const char* given =
      R"({"centre":true,"k":4096,"null_draws":0,"ode.alphas":[-1.5,1],"other_space":"data","rows":[0,7],)"
      R"("space":"embed","tensors":{"left":"w1"},"threshold":2,"title":"größe","words":["a",""]})";
  ASSERT_OK_AND_ASSIGN(ParamValues values, Normalize(given));
  EXPECT_EQ(Canonical(values), given);
  SampleParams params = std::any_cast<SampleParams>(SampleSpec().Decode(values));
  EXPECT_TRUE(params.centre);
  EXPECT_EQ(params.k, 4096);
  EXPECT_EQ(params.null_draws, 0);
  EXPECT_THAT(params.ode_alphas, ElementsAre(-1.5, 1.0));
  EXPECT_EQ(params.other_space, SampleSpace::kData);
  EXPECT_THAT(params.rows, ElementsAre(0, 7));
  EXPECT_EQ(params.space, SampleSpace::kEmbed);
  EXPECT_EQ(params.tensors.at("left"), "w1");
  EXPECT_EQ(params.threshold, 2.0);
  EXPECT_EQ(params.title, "größe");
  EXPECT_THAT(params.words, ElementsAre("a", ""));
}

TEST(NormalizeParams, TakesIntegralDoublesForIntegersAndTheReverse) {
  ASSERT_OK_AND_ASSIGN(ParamValues values, Normalize(R"({"k":7.0,"threshold":3,"rows":[1e0]})"));
  EXPECT_EQ(std::get<int64_t>(values.at("k")), 7);
  EXPECT_EQ(std::get<double>(values.at("threshold")), 3.0);
  EXPECT_THAT(std::get<std::vector<int64_t>>(values.at("rows")), ElementsAre(1));
}

TEST(NormalizeParams, MakesMinusZeroZero) {
  ASSERT_OK_AND_ASSIGN(ParamValues values, Normalize(R"({"threshold":-0.0})"));
  EXPECT_FALSE(std::signbit(std::get<double>(values.at("threshold"))));
}

TEST(NormalizeParams, TakesIntegersAsFarAsDoublesHoldThem) {
  EXPECT_OK(Normalize(R"({"null_draws":9007199254740991})"));
  EXPECT_THAT(Normalize(R"({"null_draws":9007199254740992})"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is 9007199254740992; 0..9007199254740991 is allowed")));
}

struct BadParams {
  const char* given;
  const char* field;
  const char* description;
};

TEST(NormalizeParams, SaysWhatIsWrong) {
  for (const BadParams& bad : std::initializer_list<BadParams>{
           {"[]", "params", "is a list; an object is expected"},
           {R"({"centre":1})", "params.centre", "is 1; true or false is expected"},
           {R"({"k":0})", "params.k", "is 0; 1..4096 is allowed"},
           {R"({"k":4097})", "params.k", "is 4097; 1..4096 is allowed"},
           {R"({"k":1.5})", "params.k", "is 1.5; an integer is expected"},
           {R"({"k":"7"})", "params.k", "is \"7\"; an integer is expected"},
           {R"({"k":true})", "params.k", "is true; an integer is expected"},
           {R"({"k":1e300})", "params.k", "is 1e+300; 1..4096 is allowed"},
           {R"({"threshold":-0.5})", "params.threshold", "is -0.5; at least 0 is allowed"},
           {R"({"threshold":"high"})", "params.threshold", "is \"high\"; a number is expected"},
           {R"({"space":"inputs"})", "params.space",
            "is \"inputs\"; one of input, embed, data is expected"},
           {R"({"space":2})", "params.space", "is 2; one of input, embed, data is expected"},
           {R"({"title":["a"]})", "params.title", "is a list; a string is expected"},
           {R"({"title":"ninebytes"})", "params.title", "has 9 bytes; at most 8 are allowed"},
           {R"({"rows":3})", "params.rows", "is 3; a list is expected"},
           {R"({"rows":[1,-2]})", "params.rows[1]", "is -2; 0..9007199254740991 is allowed"},
           {R"({"rows":[1,null]})", "params.rows[1]", "is null; an integer is expected"},
           {R"({"rows":[1,2,3,4]})", "params.rows", "has 4 entries; at most 3 are allowed"},
           {R"({"ode.alphas":[0,2]})", "params.ode.alphas[1]", "is 2; at most 1 is allowed"},
           {R"({"words":[{}]})", "params.words[0]", "is an object; a string is expected"},
           {R"({"tensors":["a"]})", "params.tensors",
            "is a list; an object of strings is expected"},
           {R"({"tensors":{"a":1}})", "params.tensors[\"a\"]", "is 1; a string is expected"},
           {R"({"tensors":{"a":"","b":"","c":""}})", "params.tensors",
            "has 3 entries; at most 2 are allowed"},
           {R"({"null_draws":-1})", "params.null_draws", "is -1; 0..9007199254740991 is allowed"},
           {R"({"other_space":""})", "params.other_space",
            "is \"\"; one of input, embed, data is expected"},
       }) {
    absl::Status status = Normalize(bad.given).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.given;
    std::vector<Violation> violations = ViolationsOf(status);
    ASSERT_THAT(violations, SizeIs(1)) << bad.given;
    EXPECT_EQ(violations[0].field, bad.field);
    EXPECT_EQ(violations[0].description, bad.description);
  }
}

TEST(NormalizeParams, RefusesNumbersThatAreNotFinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (auto [value, text] : {std::pair(std::nan(""), "NaN"), std::pair(infinity, "infinite"),
                             std::pair(-infinity, "infinite")}) {
    for (const char* name : {"threshold", "k"}) {
      EXPECT_THAT(NormalizeParams(SampleSpec(), Json{{name, value}}),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           HasSubstr(absl::StrCat("params.", name, " is ", text))));
    }
  }
}

TEST(NormalizeParams, RefusesStringsThatAreNotUtf8) {
  EXPECT_THAT(NormalizeParams(SampleSpec(), Json{{"title", "\xFF"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is a string that is not UTF-8; UTF-8 is expected")));
}

TEST(NormalizeParams, OffersTheNearestNamesForUnknownOnes) {
  EXPECT_THAT(
      Normalize(R"({"spaces":"input"})"),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          HasSubstr("params.spaces is not a parameter of sample.all; the nearest are space, ")));
  EXPECT_THAT(
      Normalize(R"({"ode":{"alphas":[1]}})"),  // dotted names are flat keys
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("params.ode is not a parameter")));
  SpecOf<int> none("sample.none", 1, "");
  EXPECT_THAT(NormalizeParams(none, Json{{"k", 1}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is not a parameter of sample.none; it has none")));
}

TEST(NormalizeParams, ListsAllViolationsAtOnce) {
  absl::Status status = Normalize(R"({"kk":1,"k":0,"rows":7,"space":"x"})").status();
  std::vector<std::string> fields;
  for (const Violation& violation : ViolationsOf(status)) fields.push_back(violation.field);
  EXPECT_THAT(fields, ElementsAre("params.kk", "params.k", "params.space", "params.rows"));
}

TEST(NormalizeParams, KeepsHostileTextShort) {
  Json given = {{"space", std::string(100'000, 'x')},
                {"tensors", {{std::string(100'000, 'k'), 1}}}};
  for (int i = 0; i < 100; ++i) given[std::string(100'000, 'a') + std::to_string(i)] = i;
  absl::Status status = NormalizeParams(SampleSpec(), given).status();
  EXPECT_THAT(ViolationsOf(status), SizeIs(kViolationsMax));
  EXPECT_LT(status.message().size(), 1100);
  EXPECT_THAT(std::string(status.message()), HasSubstr("; and "));
  EXPECT_LT(status.GetPayload(kViolationsUrl)->size(), 4096);
}

TEST(Violations, ComeBackFromTheStatus) {
  absl::Status status = ViolationsStatus({{"params.k", "is 0"}, {"inputs.model", "is missing"}});
  EXPECT_EQ(status.message(), "params.k is 0; inputs.model is missing");
  std::vector<Violation> violations = ViolationsOf(status);
  ASSERT_THAT(violations, SizeIs(2));
  EXPECT_EQ(violations[1].field, "inputs.model");
  EXPECT_EQ(violations[1].description, "is missing");
  EXPECT_THAT(ViolationsOf(absl::InvalidArgumentError("else")), IsEmpty());
  EXPECT_THAT(ViolationsOf(absl::OkStatus()), IsEmpty());
}

}  // namespace
}  // namespace radiograph
