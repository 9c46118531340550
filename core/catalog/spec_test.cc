#include "core/catalog/spec.h"

#include <nlohmann/json.hpp>

#include "core/base/json.h"
#include "core/catalog/sample_spec.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Spec, KeepsWhatTheBuilderWasTold) {
  Spec spec = SampleSpec();
  EXPECT_EQ(spec.name(), "sample.all");
  EXPECT_EQ(spec.version(), 3);
  EXPECT_EQ(spec.FindParam("k")->kind, ParamKind::kInt);
  EXPECT_EQ(std::get<int64_t>(spec.FindParam("k")->default_value), 20);
  EXPECT_TRUE(spec.FindParam("null_draws")->optional);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(spec.FindParam("other_space")->default_value));
  EXPECT_EQ(spec.FindParam("nothing"), nullptr);
  EXPECT_TRUE(spec.FindInput("others")->options.list);
  EXPECT_EQ(spec.outputs().front().unit, "logit");
  EXPECT_EQ(spec.metrics().front().options.better, Better::kLower);
}

TEST(Spec, ItsDescriptionTellsAllOfIt) {
  const Json json = Description(SampleSpec());
  EXPECT_EQ(json["name"], "sample.all");
  EXPECT_EQ(json["version"], 3);
  ASSERT_EQ(json["params"].size(), 11u);
  EXPECT_EQ(json["params"][2], (Json{{"name", "k"},
                                     {"kind", "int"},
                                     {"optional", false},
                                     {"default_value", 20},
                                     {"values", Json::array()},
                                     {"min", 1.0},
                                     {"max", 4096.0},
                                     {"help", "eigenvectors kept"}}));
  EXPECT_EQ(json["params"][3].count("max"), 0u);  // no such limit
  EXPECT_EQ(json["params"][4]["values"], (Json{"input", "embed", "data"}));
  EXPECT_EQ(json["inputs"][1], (Json{{"name", "data"},
                                     {"kind", "DATASET"},
                                     {"optional", true},
                                     {"list", false},
                                     {"roles", {"inputs"}},
                                     {"help", ""}}));
  EXPECT_EQ(json["outputs"][0]["shape"], "[C, r]");
  EXPECT_EQ(json["metrics"][0]["better"], "lower");
  EXPECT_EQ(json["metrics"][0]["exactness"], "exact");
  EXPECT_EQ(json["json_schema"], JsonSchema(SampleSpec()));
}

TEST(Spec, DefaultsAreThoseOfTheStruct) {
  Spec spec = SampleSpec();
  SampleParams params =
      std::any_cast<SampleParams>(spec.Decode(*NormalizeParams(spec, Json::object())));
  EXPECT_EQ(params.k, 20);
  EXPECT_EQ(params.title, "none");
  EXPECT_FALSE(params.null_draws.has_value());
}

TEST(Spec, PlanSeesTypedParametersAndHeaders) {
  Spec spec = SampleSpec();
  ASSERT_OK_AND_ASSIGN(ParamValues values, NormalizeParams(spec, Json{{"k", 200}}));
  ASSERT_OK_AND_ASSIGN(Plan plan, spec.MakePlan(values, {}));
  EXPECT_EQ(plan.memory_bytes, 200'000);
  Headers headers;
  headers.inputs["model"].emplace_back();
  EXPECT_THAT(spec.MakePlan(values, headers),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("params.k is more than this model has")));
}

TEST(InputViolations, NamesUnknownMissingAndTooMany) {
  Spec spec = SampleSpec();
  EXPECT_THAT(InputViolations(spec, {{"model", 1}}), IsEmpty());
  EXPECT_THAT(InputViolations(spec, {{"model", 1}, {"data", 1}, {"others", 5}}), IsEmpty());
  struct Case {
    std::map<std::string, int64_t> counts;
    const char* message;
  };
  for (const Case& c : std::initializer_list<Case>{
           {{}, "inputs.model is missing; sample.all needs it"},
           {{{"model", 0}}, "inputs.model is missing"},
           {{{"model", 2}}, "inputs.model has 2 artifacts; one is taken"},
           {{{"model", 1}, {"modle", 1}},
            "inputs.modle is not an input of sample.all; it takes model, data, others"}}) {
    EXPECT_THAT(ViolationsStatus(InputViolations(spec, c.counts)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(Headers, FindTensorsByNameAndRole) {
  Headers headers;
  ArtifactHeader data;
  data.tensors = {{.name = "images", .dtype = safetensors::DType::kF32, .shape = {4, 2}},
                  {.name = "labels", .dtype = safetensors::DType::kI64, .shape = {4}}};
  data.roles = {{"inputs", "images"}, {"latents", "gone"}};
  headers.inputs["data"] = {data};
  headers.inputs["empty"] = {};
  EXPECT_EQ(headers.Find("model"), nullptr);
  EXPECT_EQ(headers.Find("empty"), nullptr);
  const ArtifactHeader* found = headers.Find("data");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->Role("inputs")->name, "images");
  EXPECT_EQ(found->Role("labels")->name, "labels");  // no such role: the tensor of that name
  EXPECT_EQ(found->Role("latents"), nullptr);        // the role's tensor is missing
  EXPECT_EQ(found->Find("inputs"), nullptr);
}

TEST(JsonSchema, DescribesEveryKind) {
  const Json schema = JsonSchema(SampleSpec());
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["properties"].size(), 11);
  struct Case {
    const char* param;
    const char* schema;
  };
  for (
      const Case& c : std::initializer_list<Case>{
          {"centre", R"({"default":false,"description":"subtract the mean","type":"boolean"})"},
          {"k",
           R"({"default":20,"description":"eigenvectors kept","maximum":4096,"minimum":1,"type":"integer"})"},
          {"threshold",
           R"({"default":0.5,"description":"at least this much","minimum":0,"type":"number"})"},
          {"space",
           R"({"default":"input","description":"where to look","enum":["input","embed","data"],"type":"string"})"},
          {"title",
           R"({"default":"none","description":"a heading","maxLength":8,"type":"string"})"},
          {"rows",
           R"({"default":[],"description":"outputs","items":{"maximum":9007199254740991,"minimum":0,)"
           R"("type":"integer"},"maxItems":3,"type":"array"})"},
          {"ode.alphas",
           R"({"default":[0.25],"description":"steps","items":{"maximum":1,"type":"number"},)"
           R"("maxItems":4096,"type":"array"})"},
          {"words",
           R"({"default":[],"description":"texts","items":{"maxLength":4096,"type":"string"},)"
           R"("maxItems":4096,"type":"array"})"},
          {"tensors", R"({"additionalProperties":{"maxLength":4096,"type":"string"},"default":{},)"
                      R"("description":"role to tensor name","maxProperties":2,"type":"object"})"},
          {"null_draws",
           R"({"default":null,"description":"draws","maximum":9007199254740991,"minimum":0,)"
           R"("type":["integer","null"]})"},
          {"other_space",
           R"({"default":null,"description":"where else to look","enum":["input","embed","data",null],)"
           R"("type":["string","null"]})"},
      }) {
    EXPECT_EQ(*CanonicalJson(schema["properties"][c.param]), c.schema) << c.param;
  }
}

}  // namespace
}  // namespace radiograph
