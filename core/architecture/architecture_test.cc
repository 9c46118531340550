#include "core/architecture/architecture.h"

#include <nlohmann/json.hpp>

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

safetensors::TensorInfo Of(std::string name, std::vector<int64_t> shape) {
  return {.name = std::move(name), .dtype = safetensors::DType::kF32, .shape = std::move(shape)};
}

TEST(ResolveArchitecture, ImageModel) {
  const Architecture architecture =
      ResolveArchitecture({Of("embed.weight", {64, 784}), Of("blocks.0.weight", {60, 64}),
                           Of("head.weight", {10, 30})},
                          "")
          .architecture;
  EXPECT_EQ(architecture.family, "bilinear");
  EXPECT_THAT(architecture.config,
              ElementsAre(Pair("d_hidden", 30), Pair("d_input", 784), Pair("d_model", 64),
                          Pair("d_output", 10), Pair("n_layers", 1)));
  EXPECT_EQ(architecture.activation, "");
}

TEST(ResolveArchitecture, GatedModel) {
  const Architecture architecture =
      ResolveArchitecture({Of("model.layers.0.mlp.gate_proj.weight", {96, 32}),
                           Of("model.layers.0.mlp.up_proj.weight", {96, 32})},
                          R"({"hidden_act": "SiLU"})")
          .architecture;
  EXPECT_EQ(architecture.family, "gated");
  EXPECT_EQ(architecture.activation, "silu");
  EXPECT_EQ(architecture.config.at("d_hidden"), 96);
}

TEST(ResolveArchitecture, UnknownTensorsAreNoError) {
  const Architecture architecture = ResolveArchitecture({Of("conv1", {3, 3})}, "").architecture;
  EXPECT_EQ(architecture.family, "unknown");
  EXPECT_THAT(architecture.config, ElementsAre());
}

TEST(ResolveArchitecture, ReadsTheActivationUnderItsUsualKeys) {
  for (const char* key : {"hidden_act", "activation_function", "gate"}) {
    const std::string config = std::string("{\"") + key + "\": \"gelu\"}";
    const Architecture architecture = ResolveArchitecture({}, config).architecture;
    EXPECT_EQ(architecture.activation, "gelu") << key;
  }
  const Architecture none = ResolveArchitecture({}, R"({"hidden_act": "linear"})").architecture;
  EXPECT_EQ(none.activation, "");
}

TEST(ResolveArchitecture, AConfigThatIsNotUnderstoodIsTold) {
  for (const char* config : {"[1]", "{", "null", " "}) {
    const ResolvedArchitecture resolved =
        ResolveArchitecture({Of("blocks.0.weight", {8, 6}), Of("head.weight", {3, 4})}, config);
    EXPECT_EQ(resolved.architecture.family, "bilinear");
    EXPECT_THAT(resolved.architecture.unheeded, ElementsAre(HasSubstr("config.json itself")));
    EXPECT_THAT(resolved.notes, ElementsAre(HasSubstr("not understood")));
  }
}

TEST(ResolveArchitecture, ConfigIsComparedWithTheTensors) {
  const auto unheeded = [](const char* config) {
    return ResolveArchitecture({Of("blocks.0.weight", {8, 6}), Of("blocks.2.weight", {8, 4})},
                               config)
        .architecture.unheeded;
  };
  EXPECT_THAT(unheeded(R"({"n_layer": 3, "bias": false})"), ElementsAre());
  EXPECT_THAT(unheeded(R"({"n_layer": 2})"), ElementsAre());
  EXPECT_THAT(unheeded(R"({"n_layer": 6})"), ElementsAre(HasSubstr("number of layers, 6")));
  EXPECT_THAT(unheeded(R"({"bias": true})"), ElementsAre(HasSubstr("bias = true")));
}

TEST(ResolveArchitecture, NotesSayHowNamesWereRead) {
  const ResolvedArchitecture resolved = ResolveArchitecture(
      {Of("module.blocks.0.weight", {8, 6}), Of("module.blocks.2.weight", {8, 4})}, "");
  EXPECT_THAT(resolved.notes, ElementsAre(HasSubstr("\"module.\""), HasSubstr("0, 2 are")));
}

TEST(Architecture, SurvivesJson) {
  const Architecture before = {
      .family = "bilinear", .config = {{"n_layers", 2}}, .activation = "silu"};
  EXPECT_EQ(before.ToJson().dump(),
            R"({"activation":"silu","config":{"n_layers":2},"family":"bilinear"})");
  ASSERT_OK_AND_ASSIGN(const Architecture after, Architecture::FromJson(before.ToJson()));
  EXPECT_EQ(after.ToJson(), before.ToJson());
  const Architecture full = {.says_not_bilinear = true, .residual = true, .unheeded = {"x = 1"}};
  EXPECT_EQ(Architecture::FromJson(full.ToJson())->ToJson(), full.ToJson());
  EXPECT_EQ(Architecture::FromJson(Json::object())->family, "unknown");
  for (const char* wrong : {"[]", R"({"family": 3})", R"({"config": {"n_layers": "many"}})"}) {
    EXPECT_THAT(Architecture::FromJson(*ParseJson(wrong)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("family")))
        << wrong;
  }
}

}  // namespace
}  // namespace radiograph
