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
  ASSERT_OK_AND_ASSIGN(
      const Architecture architecture,
      ResolveArchitecture({Of("embed.weight", {64, 784}), Of("blocks.0.weight", {60, 64}),
                           Of("head.weight", {10, 30})},
                          ""));
  EXPECT_EQ(architecture.family, "bilinear");
  EXPECT_THAT(architecture.config,
              ElementsAre(Pair("d_hidden", 30), Pair("d_input", 784), Pair("d_model", 64),
                          Pair("d_output", 10), Pair("n_layers", 1)));
  EXPECT_EQ(architecture.activation, "");
}

TEST(ResolveArchitecture, GatedModel) {
  ASSERT_OK_AND_ASSIGN(const Architecture architecture,
                       ResolveArchitecture({Of("model.layers.0.mlp.gate_proj.weight", {96, 32}),
                                            Of("model.layers.0.mlp.up_proj.weight", {96, 32})},
                                           R"({"hidden_act": "SiLU"})"));
  EXPECT_EQ(architecture.family, "gated");
  EXPECT_EQ(architecture.activation, "silu");
  EXPECT_EQ(architecture.config.at("d_hidden"), 96);
}

TEST(ResolveArchitecture, UnknownTensorsAreNoError) {
  ASSERT_OK_AND_ASSIGN(const Architecture architecture,
                       ResolveArchitecture({Of("conv1", {3, 3})}, ""));
  EXPECT_EQ(architecture.family, "unknown");
  EXPECT_THAT(architecture.config, ElementsAre());
}

TEST(ResolveArchitecture, ReadsTheActivationUnderItsUsualKeys) {
  for (const char* key : {"hidden_act", "activation_function", "gate"}) {
    const std::string config = std::string("{\"") + key + "\": \"gelu\"}";
    ASSERT_OK_AND_ASSIGN(const Architecture architecture, ResolveArchitecture({}, config));
    EXPECT_EQ(architecture.activation, "gelu") << key;
  }
  ASSERT_OK_AND_ASSIGN(const Architecture none,
                       ResolveArchitecture({}, R"({"hidden_act": "linear"})"));
  EXPECT_EQ(none.activation, "");
}

TEST(ResolveArchitecture, RefusesAConfigThatIsNoObject) {
  EXPECT_THAT(ResolveArchitecture({}, "[1]"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("JSON object")));
  EXPECT_THAT(ResolveArchitecture({}, "{"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("config.json")));
}

TEST(Architecture, SurvivesJson) {
  const Architecture before = {
      .family = "bilinear", .config = {{"n_layers", 2}}, .activation = "silu"};
  EXPECT_EQ(before.ToJson().dump(),
            R"({"activation":"silu","config":{"n_layers":2},"family":"bilinear"})");
  ASSERT_OK_AND_ASSIGN(const Architecture after, Architecture::FromJson(before.ToJson()));
  EXPECT_EQ(after.ToJson(), before.ToJson());
  EXPECT_THAT(Architecture::FromJson(Json::array()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("family")));
}

}  // namespace
}  // namespace radiograph
