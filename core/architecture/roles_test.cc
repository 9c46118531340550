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
  EXPECT_THAT(found.layers, ElementsAre(0));
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
  EXPECT_THAT(found.layers, ElementsAre());
}

TEST(FindLayerRoles, APrefixOfWrappersIsPassedOver) {
  for (const std::string prefix :
       {"_orig_mod.", "module.", "_orig_mod.module.", "model.net.", "0.", "a.b.c.d."}) {
    const auto tensors = Named({prefix + "embed.weight", prefix + "blocks.0.weight",
                                prefix + "blocks.1.weight", prefix + "head.weight"});
    ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, 0, {}));
    EXPECT_EQ(found.prefix, prefix);
    EXPECT_EQ(found.names.at("embed"), prefix + "embed.weight");
    EXPECT_THAT(found.layers, ElementsAre(0, 1));
    EXPECT_THAT(found.unread, ElementsAre());
    ASSERT_OK_AND_ASSIGN(const LayerRoles given,
                         FindLayerRoles(tensors, 0, {{"head", "embed.weight"}}));
    EXPECT_EQ(given.names.at("head"), prefix + "embed.weight");
  }
}

TEST(FindLayerRoles, APrefixThatNotAllShareIsPassedOverToo) {
  const auto tensors = Named({"n_averaged", "module.blocks.0.weight", "module.head.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, -1, {}));
  EXPECT_EQ(found.names.at("head"), "module.head.weight");
  EXPECT_THAT(found.unread, ElementsAre("n_averaged"));
}

TEST(FindLayerRoles, TwoModelsInOneFileAreNotGuessedAt) {
  const auto tensors = Named({"student.blocks.0.weight", "student.head.weight",
                              "teacher.blocks.0.weight", "teacher.head.weight"});
  EXPECT_THAT(FindLayerRoles(tensors, -1, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("'student.'"), HasSubstr("'teacher.'"))));
  ASSERT_OK_AND_ASSIGN(const LayerRoles named, FindLayerRoles(tensors, -1,
                                                              {{"fused", "teacher.blocks.0.weight"},
                                                               {"head", "teacher.head.weight"}}));
  EXPECT_EQ(named.names.at("fused"), "teacher.blocks.0.weight");
}

TEST(FindLayerRoles, AModelGoesBeforeItsCopyBelowAPrefix) {
  const auto tensors = Named({"blocks.0.weight", "head.weight", "ema.blocks.0.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, -1, {}));
  EXPECT_EQ(found.names.at("fused"), "blocks.0.weight");
}

TEST(FindLayerRoles, LayersAreThoseThatAreThere) {
  const auto tensors = Named(
      {"embed.weight", "blocks.0.weight", "blocks.2.weight", "blocks.3.weight", "head.weight"});
  ASSERT_OK_AND_ASSIGN(const LayerRoles last, FindLayerRoles(tensors, -1, {}));
  EXPECT_EQ(last.layer, 3);
  EXPECT_THAT(last.layers, ElementsAre(0, 2, 3));
  EXPECT_THAT(last.unread, ElementsAre());
  EXPECT_FALSE(last.names.contains("embed"));
  EXPECT_EQ(FindLayerRoles(tensors, 2, {})->names.at("fused"), "blocks.2.weight");
  EXPECT_TRUE(FindLayerRoles(tensors, 0, {})->names.contains("embed"));
  EXPECT_THAT(FindLayerRoles(tensors, 1, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("layer 1 is not bilinear; 0, 2, 3 are")));
}

TEST(FindLayerRoles, TheFirstBlockReadsTheEmbeddingWhateverItsNumber) {
  const auto counted_from_1 = Named({"embed.weight", "blocks.1.weight", "blocks.2.weight"});
  EXPECT_TRUE(FindLayerRoles(counted_from_1, 1, {})->names.contains("embed"));
  EXPECT_FALSE(FindLayerRoles(counted_from_1, 2, {})->names.contains("embed"));
  // Block 0 is of another kind.
  const auto later = Named({"embed.weight", "blocks.0.mlp.weight", "blocks.1.weight"});
  EXPECT_FALSE(FindLayerRoles(later, 1, {})->names.contains("embed"));
}

TEST(FindLayerRoles, ManyLayersAreInTheOrderOfTheirNumbers) {
  std::vector<std::string> names;
  for (int i = 0; i < 12; ++i) names.push_back("blocks." + std::to_string(i) + ".weight");
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(Named(names), -1, {}));
  EXPECT_EQ(found.layer, 11);
  EXPECT_EQ(LayersText(found.layers), "0, 1, 2, 3, 4, 5, 6, ... 11");
}

TEST(FindLayerRoles, ATensorThatOnlyTheIndexKnowsIsMissed) {
  const auto tensors = Named({"blocks.0.weight", "head.weight"});
  const std::vector<std::string> missing = {"embed.weight"};
  EXPECT_THAT(FindLayerRoles(tensors, 0, {}, missing),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("'embed.weight' (role embed)"), HasSubstr("no file"))));
  const std::vector<std::string> other = {"mtp.weight"};
  EXPECT_OK(FindLayerRoles(tensors, 0, {}, other));
}

TEST(FindLayerRoles, BytesReadUnderOneNameAreRead) {
  auto tensors = Named({"blocks.0.weight", "embed.weight", "head.weight", "lm_head.weight"});
  tensors[3].same_as = "head.weight";
  ASSERT_OK_AND_ASSIGN(const LayerRoles found, FindLayerRoles(tensors, 0, {}));
  EXPECT_THAT(found.unread, ElementsAre());
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
