#include "core/analyses/bilinear/spectrum_spec.h"

#include <nlohmann/json.hpp>

#include "core/analyses/catalog.h"
#include "tests/support/status_matchers.h"

namespace radiograph::bilinear {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

safetensors::TensorInfo Of(std::string name, std::vector<int64_t> shape,
                           safetensors::DType dtype = safetensors::DType::kF32) {
  return {.name = std::move(name), .dtype = dtype, .shape = std::move(shape)};
}

ArtifactHeader Model(std::vector<safetensors::TensorInfo> tensors, absl::string_view config = "") {
  Architecture architecture = ResolveArchitecture(tensors, config).architecture;
  return {.architecture = std::move(architecture), .tensors = std::move(tensors)};
}

// d = 6, m = 4, n = 9, C = 3.
ArtifactHeader ImageModel() {
  return Model(
      {Of("embed.weight", {6, 9}), Of("blocks.0.weight", {8, 6}), Of("head.weight", {3, 4})});
}

ArtifactHeader Data(std::vector<int64_t> inputs, std::vector<int64_t> labels) {
  return {.tensors = {Of("inputs", std::move(inputs)),
                      Of("labels", std::move(labels), safetensors::DType::kI64)}};
}

// The plan of given parameters, as the server makes it.
absl::StatusOr<Plan> PlanOf(const Json& params, std::map<std::string, ArtifactHeader> inputs) {
  Headers headers;
  for (auto& [name, header] : inputs) headers.inputs[name] = {header};
  auto spec = FindSpec("bilinear.spectrum");
  EXPECT_OK(spec);
  auto values = NormalizeParams(**spec, params);
  if (!values.ok()) return values.status();
  return (*spec)->MakePlan(*values, headers);
}

TEST(SpectrumSpec, DefaultsAreThoseOfTheInterface) {
  ASSERT_OK_AND_ASSIGN(const Spec* spec, FindSpec("bilinear.spectrum"));
  ASSERT_OK_AND_ASSIGN(const ParamValues values, NormalizeParams(*spec, Json::object()));
  EXPECT_EQ(ToJson(values).dump(),
            R"({"assume_bilinear":false,"centre":false,"image_shape":[],"k":20,"layer":-1,)"
            R"("null_draws":null,"precision":"float64","rows":[],"samples":[],"solver":"full",)"
            R"("space":"input","tensors":{}})");
}

TEST(SpectrumSpec, PlansAnImageModel) {
  ASSERT_OK_AND_ASSIGN(const Plan plan, PlanOf(Json::object(), {{"model", ImageModel()}}));
  EXPECT_GT(plan.memory_bytes, 8 * (2 * 4 * 6 + 3 * 4 + 6 * 9));
  EXPECT_OK(PlanOf(Json::object(), {{"model", ImageModel()}, {"data", Data({5, 9}, {5})}}));
  EXPECT_OK(
      PlanOf({{"image_shape", {3, 3}}}, {{"model", ImageModel()}, {"data", Data({5, 3, 3}, {5})}}));
}

TEST(SpectrumSpec, PlanNamesWhatWouldLowerTheMemory) {
  ASSERT_OK_AND_ASSIGN(const Plan wide, PlanOf({{"k", 3}}, {{"model", ImageModel()}}));
  EXPECT_THAT(wide.memory_help, HasSubstr("a smaller k (now 3)"));
  ASSERT_OK_AND_ASSIGN(
      const Plan samples,
      PlanOf(Json::object(), {{"model", ImageModel()}, {"data", Data({500000, 9}, {500000})}}));
  EXPECT_EQ(samples.memory_help, "data with fewer samples (now 500000)");
}

TEST(SpectrumSpec, AnInputAloneIsJudgedByItself) {
  EXPECT_OK(PlanOf(Json::object(), {}));
  EXPECT_OK(PlanOf(Json::object(), {{"data", Data({5, 9}, {5})}}));
}

TEST(SpectrumSpec, RefusesWhatIsNotBilinear) {
  const auto gated =
      Model({Of("model.layers.0.mlp.gate_proj.weight", {8, 6}),
             Of("model.layers.0.mlp.up_proj.weight", {8, 6}),
             Of("model.layers.0.mlp.down_proj.weight", {6, 8}), Of("lm_head.weight", {11, 6})});
  EXPECT_THAT(PlanOf(Json::object(), {{"model", gated}}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("gate_proj"), HasSubstr("assume_bilinear=true"))));
  EXPECT_OK(PlanOf({{"assume_bilinear", true}}, {{"model", gated}}));
  auto activated = Model(ImageModel().tensors, R"({"hidden_act": "gelu"})");
  EXPECT_THAT(PlanOf(Json::object(), {{"model", activated}}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("gelu"), HasSubstr("assume_bilinear=true"))));
}

TEST(SpectrumSpec, NoDirectionsSaysWhatWouldGiveThem) {
  const auto headless = Model({Of("blocks.0.weight", {8, 6})});
  EXPECT_THAT(
      PlanOf(Json::object(), {{"model", headless}}),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("nothing says which outputs")));
  ArtifactHeader directions{.tensors = {Of("directions", {2, 4})}};
  EXPECT_OK(PlanOf(Json::object(), {{"model", headless}, {"directions", directions}}));
}

TEST(SpectrumSpec, WrongShapesAreNamedWithBothShapes) {
  struct Case {
    const char* name;
    std::vector<safetensors::TensorInfo> tensors;
    std::vector<std::string> telling;
  };
  const Case cases[] = {
      {"odd fused", {Of("blocks.0.weight", {7, 6})}, {"[7, 6]", "odd"}},
      {"left and right",
       {Of("blocks.0.w_l", {4, 6}), Of("blocks.0.w_r", {5, 6})},
       {"[4, 6]", "[5, 6]"}},
      {"embed", {Of("embed.weight", {5, 9}), Of("blocks.0.weight", {8, 6})}, {"[5, 9]", "[8, 6]"}},
      {"head", {Of("blocks.0.weight", {8, 6}), Of("head.weight", {3, 5})}, {"[3, 5]", "[8, 6]"}},
      {"head after proj",
       {Of("blocks.0.w_l", {4, 6}), Of("blocks.0.w_r", {4, 6}), Of("blocks.0.proj.weight", {6, 4}),
        Of("head.weight", {3, 4})},
       {"[3, 4]", "[6, 4]"}},
      {"bias",
       {Of("blocks.0.weight", {8, 6}), Of("blocks.0.bias", {6}), Of("head.weight", {3, 4})},
       {"[6]", "[8]"}},
      {"rank", {Of("blocks.0.weight", {8, 6, 1})}, {"[8, 6, 1]", "matrix"}},
      {"dtype", {Of("blocks.0.weight", {8, 6}, safetensors::DType::kI8)}, {"I8", "BF16"}},
      {"dtype that no analysis reads",
       {Of("blocks.0.weight", {8, 6}, safetensors::DType::kF8E4M3)},
       {"'blocks.0.weight' [8, 6] is F8_E4M3; F64, F32, F16 and BF16 are read: convert it"}},
      {"bias of such a dtype",
       {Of("blocks.0.weight", {8, 6}), Of("head.weight", {3, 4}),
        Of("blocks.0.bias", {8}, safetensors::DType::kC64)},
       {"'blocks.0.bias' [8] is C64;"}},
  };
  for (const Case& c : cases) {
    const auto plan = PlanOf(Json::object(), {{"model", Model(c.tensors)}});
    for (const std::string& text : c.telling) {
      EXPECT_THAT(plan, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text))) << c.name;
    }
  }
}

TEST(SpectrumSpec, TensorsOfOtherDTypesAreRefusedOnlyWhereTheyAreRead) {
  auto data = [](safetensors::DType inputs, safetensors::DType labels, std::vector<int64_t> shape) {
    ArtifactHeader header = Data(shape, {5});
    header.tensors[0].dtype = inputs;
    header.tensors[1].dtype = labels;
    header.tensors.push_back(Of("weights", {5}, safetensors::DType::kF8E8M0));  // not read
    return header;
  };
  using safetensors::DType;
  auto model = ImageModel();
  model.tensors.push_back(Of("seen", {}, DType::kU64));
  EXPECT_OK(
      PlanOf(Json::object(), {{"model", model}, {"data", data(DType::kU8, DType::kI32, {5, 9})}}));
  struct Case {
    ArtifactHeader data;
    const char* says;
  };
  for (const Case& c : std::vector<Case>{
           {data(DType::kU16, DType::kI64, {5, 9}), "has a tensor \"inputs\": its dtype is U16;"},
           {data(DType::kF32, DType::kU32, {5, 9}), "has a tensor \"labels\": its dtype is U32;"},
           {data(DType::kF32, DType::kI64, {5, 9, 1, 1, 1, 1, 1, 1, 1}),
            "has a tensor \"inputs\": it has 9 dimensions"}}) {
    EXPECT_THAT(PlanOf(Json::object(), {{"model", model}, {"data", c.data}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.says)));
  }
}

TEST(SpectrumSpec, WrongParametersNameFieldAndLimit) {
  struct Case {
    Json params;
    std::vector<std::string> telling;
  };
  const std::map<std::string, ArtifactHeader> with_data = {{"model", ImageModel()},
                                                           {"data", Data({5, 9}, {5})}};
  const Case cases[] = {
      {{{"k", 0}}, {"params.k", "1"}},
      {{{"image_shape", {2, 4}}}, {"params.image_shape", "[2, 4]", "9 inputs"}},
      {{{"image_shape", {9}}}, {"params.image_shape", "1 entries"}},
      {{{"rows", {0, 3}}}, {"params.rows", "has 3", "0..2"}},
      {{{"samples", {5}}}, {"params.samples", "has 5", "5 samples"}},
      {{{"layer", 1}}, {"layer is 1", "0..0"}},
      {{{"centr", true}}, {"centr", "centre"}},
  };
  for (const Case& c : cases) {
    const auto plan = PlanOf(c.params, with_data);
    for (const std::string& text : c.telling) {
      EXPECT_THAT(plan, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text))) << c.params;
    }
  }
  EXPECT_THAT(PlanOf({{"space", "data"}}, {{"model", ImageModel()}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("needs the input data")));
  const auto one = Model({Of("blocks.0.weight", {8, 6}), Of("head.weight", {1, 4})});
  EXPECT_THAT(PlanOf({{"centre", true}}, {{"model", one}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("params.centre")));
}

TEST(SpectrumSpec, WrongDataIsNamedWithBothShapes) {
  EXPECT_THAT(
      PlanOf(Json::object(), {{"model", ImageModel()}, {"data", Data({5, 8}, {5})}}),
      StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("[5, 8]"), HasSubstr("9]"))));
  EXPECT_THAT(
      PlanOf(Json::object(), {{"model", ImageModel()}, {"data", Data({5, 9}, {4})}}),
      StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("[4]"), HasSubstr("[5, 9]"))));
}

TEST(SpectrumSpec, DataUnderOtherNamesIsAnsweredWithWhatIsThere) {
  const auto answer = [](std::vector<safetensors::TensorInfo> tensors) {
    return PlanOf(Json::object(), {{"model", ImageModel()}, {"data", {.tensors = tensors}}});
  };
  EXPECT_THAT(answer({Of("images", {20, 3, 3}), Of("y", {20}, safetensors::DType::kI64)}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("images F32 [20, 3, 3], y I64 [20]"),
                             HasSubstr("say --role data.inputs=images"))));
  EXPECT_THAT(answer({Of("y", {20})}), StatusIs(absl::StatusCode::kInvalidArgument,
                                                HasSubstr("say --role data.inputs=TENSOR")));
  EXPECT_THAT(answer({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no tensors")));
  EXPECT_THAT(answer({Of("inputs", {20})}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has the shape [20]")));
  EXPECT_THAT(answer({Of("inputs", {20, 9}), Of("labels", {20, 3})}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("class numbers, [20]"), HasSubstr("one-hot rows"))));
}

TEST(SpectrumSpec, AResidualBlockWritesAsManyNumbersAsItReads) {
  const std::vector<safetensors::TensorInfo> wide = {Of("blocks.0.weight", {12, 6}),
                                                     Of("head.weight", {3, 6})};
  EXPECT_OK(PlanOf(Json::object(), {{"model", Model(wide, R"({"residual": true})")}}));
  EXPECT_THAT(
      PlanOf(Json::object(), {{"model", Model(ImageModel().tensors, R"({"skip": true})")}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reads 6 numbers and writes 4")));
}

TEST(SpectrumSpec, AConfigThatSaysNotBilinearIsBelieved) {
  const ArtifactHeader model = Model(ImageModel().tensors, R"({"bilinear": false})");
  EXPECT_THAT(PlanOf(Json::object(), {{"model", model}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("\"bilinear\": false")));
  EXPECT_OK(PlanOf({{"assume_bilinear", true}}, {{"model", model}}));
}

TEST(SpectrumSpec, NullDrawsDefaultToNoneWhereTheyWouldCostTooMuch) {
  const LayerShapes small{.inputs = 64, .width = 64, .hidden = 64, .written = 64, .outputs = 10};
  const LayerShapes large{.inputs = 784, .width = 784, .hidden = 64, .written = 64, .outputs = 10};
  EXPECT_EQ(SizesOf({}, small, nullptr).null_draws, 20);
  EXPECT_EQ(SizesOf({}, large, nullptr).null_draws, 0);
  EXPECT_EQ(SizesOf({.null_draws = 5}, large, nullptr).null_draws, 5);
}

}  // namespace
}  // namespace radiograph::bilinear
