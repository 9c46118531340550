#include "server/rpc/analyses.h"

#include "core/analyses/catalog.h"
#include "server/rpc/artifacts.h"
#include "server/rpc/test_store.h"

namespace radiograph {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;

class AnalysesTest : public testing::StoreTest {
 protected:
  absl::StatusOr<std::vector<std::string>> Names(const std::string& for_artifact) {
    v1::ListAnalysesRequest request;
    request.set_for_artifact(for_artifact);
    auto response = ListAnalyses(Catalog(), *store_, *headers_, kDefaultTenant, request);
    if (!response.ok()) return response.status();
    std::vector<std::string> names;
    for (const v1::Analysis& analysis : response->analyses()) names.push_back(analysis.name());
    return names;
  }
};

TEST_F(AnalysesTest, ASpecTellsAllThatAClientNeeds) {
  ASSERT_OK_AND_ASSIGN(const Spec* spec, FindSpec("bilinear.spectrum"));
  ASSERT_OK_AND_ASSIGN(const v1::Analysis analysis, AnalysisOf(*spec));
  EXPECT_EQ(analysis.version(), spec->version());
  EXPECT_EQ(analysis.params_size(), static_cast<int>(spec->params().size()));
  EXPECT_EQ(analysis.metrics_size(), static_cast<int>(spec->metrics().size()));
  const auto k = std::find_if(analysis.params().begin(), analysis.params().end(),
                              [](const v1::AnalysisParam& param) { return param.name() == "k"; });
  ASSERT_NE(k, analysis.params().end());
  EXPECT_EQ(k->kind(), "int");
  EXPECT_EQ(k->default_value().number_value(), 20);
  EXPECT_EQ(k->min().number_value(), 1);
  EXPECT_EQ(analysis.inputs(0).name(), "model");
  EXPECT_EQ(analysis.inputs(0).kind(), v1::MODEL);
  EXPECT_TRUE(analysis.json_schema().fields().contains("properties"));
}

TEST_F(AnalysesTest, WithoutAnArtifactAllAreListed) {
  ASSERT_OK_AND_ASSIGN(const auto names, Names(""));
  EXPECT_EQ(names.size(), Catalog().size());
}

TEST_F(AnalysesTest, AnArtifactIsOfferedWhatItsPlanAccepts) {
  ASSERT_OK(CreateArtifact(*store_, kDefaultTenant,
                           Request("digits", {{"model.safetensors", ModelBytes()}})));
  const std::string other = Tensors({{"something", safetensors::DType::kF32, {2}}});
  ASSERT_OK(
      CreateArtifact(*store_, kDefaultTenant, Request("other", {{"model.safetensors", other}})));
  ASSERT_OK_AND_ASSIGN(auto names, Names("digits"));
  EXPECT_THAT(names, Contains("bilinear.spectrum"));
  ASSERT_OK_AND_ASSIGN(names, Names("other@1"));
  EXPECT_THAT(names, IsEmpty());
  EXPECT_THAT(Names("nobody"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nobody")));
}

}  // namespace
}  // namespace radiograph
