#include "core/architecture/roles.h"

#include "core/architecture/architecture.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::vector<safetensors::TensorInfo> Named(std::vector<std::string> names) {
  std::vector<safetensors::TensorInfo> tensors;
  for (std::string& name : names) {
    tensors.push_back(
        {.name = std::move(name), .dtype = safetensors::DType::kF32, .shape = {4, 4}});
  }
  return tensors;
}

TEST(FindLayerRoles, AuthorsImageModel) {
  const auto tensors = Named({"embed.weight", "blocks.0.weight", "blocks.0.bias", "head.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, -1, {}));
  EXPECT_THAT(found.names,
              ElementsAre(Pair("embed", "embed.weight"), Pair("fused", "blocks.0.weight"),
                          Pair("fused_bias", "blocks.0.bias"), Pair("head", "head.weight")));
  EXPECT_EQ(found.n_layers, 1);
  EXPECT_FALSE(found.gated);
}

TEST(FindLayerRoles, TellsWhatItDidNotRead) {
  const auto tensors = Named({"embde.weight", "blocks.0.weight", "blocks.1.weight", "head.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, 0, {}));
  EXPECT_THAT(found.unread, ElementsAre("embde.weight"));
  ASSERT_OK_AND_ASSIGN(const LayerRoles named,
                       FindLayerRoles(tensors, 0, {{"embed", "embde.weight"}}));
  EXPECT_THAT(named.unread, ElementsAre());
}

TEST(FindLayerRoles, LaterLayersDoNotReadTheEmbedding) {
  const auto tensors = Named({"embed.weight", "blocks.0.weight", "blocks.1.weight", "head.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, -1, {}));
  EXPECT_EQ(found.layer, 1);
  EXPECT_THAT(found.names,
              ElementsAre(Pair("fused", "blocks.1.weight"), Pair("head", "head.weight")));
}

TEST(FindLayerRoles, AuthorsLanguageModelWithATiedHead) {
  const auto tensors = Named(
      {"transformer.wte.weight", "transformer.h.0.mlp.w.weight", "transformer.h.0.mlp.p.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, 0, {}));
  EXPECT_THAT(found.names, ElementsAre(Pair("fused", "transformer.h.0.mlp.w.weight"),
                                       Pair("head", "transformer.wte.weight"),
                                       Pair("proj", "transformer.h.0.mlp.p.weight")));
}

TEST(FindLayerRoles, OwnExplicitNames) {
  const auto tensors = Named({"blocks.0.w_l", "blocks.0.w_r", "blocks.0.proj.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, 0, {}));
  EXPECT_THAT(found.names,
              ElementsAre(Pair("left", "blocks.0.w_l"), Pair("proj", "blocks.0.proj.weight"),
                          Pair("right", "blocks.0.w_r")));
}

TEST(FindLayerRoles, GatedNamesAreSaidToBeGated) {
  const auto tensors =
      Named({"model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight",
             "model.layers.0.mlp.down_proj.weight", "lm_head.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, 0, {}));
  EXPECT_TRUE(found.gated);
  EXPECT_EQ(found.names.at("proj"), "model.layers.0.mlp.down_proj.weight");
}

TEST(FindLayerRoles, OverridesWinAndReplaceTheOtherForm) {
  const auto tensors = Named({"blocks.0.weight", "a", "b", "head.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found,
                       FindLayerRoles(tensors, 0, {{"left", "a"}, {"right", "b"}}));
  EXPECT_THAT(found.names,
              ElementsAre(Pair("head", "head.weight"), Pair("left", "a"), Pair("right", "b")));
}

TEST(FindLayerRoles, OverridesAloneNameALayer) {
  const auto tensors = Named({"a", "b"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found,
                       FindLayerRoles(tensors, -1, {{"left", "a"}, {"right", "b"}}));
  EXPECT_EQ(found.n_layers, 0);
}

TEST(FindLayerRoles, ErrorsSayWhatWouldBeRight) {
  const auto tensors = Named({"blocks.0.weight", "head.weight"});
  EXPECT_THAT(FindLayerRoles(tensors, 2, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("layer is 2; this model allows 0..0")));
  EXPECT_THAT(FindLayerRoles(tensors, 0, {{"lefty", "head.weight"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("no role 'lefty'"), HasSubstr("left_bias"))));
  EXPECT_THAT(FindLayerRoles(tensors, 0, {{"head", "haed.weight"}}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("no tensor 'haed.weight'"), HasSubstr("head.weight"))));
  EXPECT_THAT(
      FindLayerRoles(Named({"block.0.weight"}), 0, {}),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr("blocks.0.weight"), HasSubstr("nearest names: block.0.weight"))));
}

}  // namespace
}  // namespace radiograph
