#include "core/process/prepare_job.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "core/catalog/spec_builder.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

struct Params {
  int64_t k = 20;
};

absl::StatusOr<Plan> PlanTest(const Params& params, const Headers& headers) {
  if (headers.Find("model")->tensors.empty()) return absl::NotFoundError("no tensor head.weight");
  return Plan{.memory_bytes = params.k, .seconds = 1, .notes = {}};
}

Spec TestSpec() {
  return SpecOf<Params>("test.analysis", 3, "A test.")
      .Param("k", &Params::k, {.min = 1, .max = 100}, "a count")
      .Input("model", ArtifactKind::kModel)
      .Input("data", ArtifactKind::kDataset, {.optional = true, .roles = {"inputs"}})
      .Plan(&PlanTest);
}

GivenArtifact Model(std::string digest = std::string(64, 'a')) {
  GivenArtifact model{.label = "digits@1",
                      .kind = ArtifactKind::kModel,
                      .files = {},
                      .header = {},
                      .digest = digest};
  model.files = {{"names.json", std::string(64, '2')}, {"model.safetensors", std::string(64, '1')}};
  model.header.architecture.family = "bilinear";
  model.header.tensors.push_back(
      {.name = "w", .dtype = safetensors::DType::kF32, .shape = {1}, .begin = 0, .end = 4});
  return model;
}

TEST(PrepareJob, MakesTheRequestWithDefaultsAndFilesInOrder) {
  ASSERT_OK_AND_ASSIGN(PreparedJob job,
                       PrepareJob(TestSpec(), Json::object(), 7, {{"model", {Model()}}}));
  EXPECT_EQ(job.request.analysis, "test.analysis");
  EXPECT_EQ(job.request.version, 3);
  EXPECT_EQ(job.request.seed, 7);
  EXPECT_EQ(std::get<int64_t>(job.request.params.at("k")), 20);
  const JobInput& model = job.request.inputs.at("model")[0];
  EXPECT_EQ(model.kind, "MODEL");
  EXPECT_EQ(model.architecture.family, "bilinear");
  EXPECT_EQ(model.files[0].name, "model.safetensors");
  EXPECT_EQ(model.files[1].name, "names.json");
  EXPECT_EQ(job.plan.memory_bytes, 20);
  EXPECT_EQ(job.request.planned_memory_bytes, 20);
  EXPECT_EQ(job.request.memory_help, "smaller inputs, or a worker with more memory, would help");
}

TEST(PrepareJob, TheCacheKeyIsOfTheWorkNotOfItsLabels) {
  auto key = [](GivenArtifact model, int64_t seed) {
    return PrepareJob(TestSpec(), Json::object(), seed, {{"model", {std::move(model)}}})
        .value()
        .cache_key;
  };
  GivenArtifact renamed = Model();
  renamed.label = "other@5";
  EXPECT_EQ(key(Model(), 0), key(renamed, 0));
  EXPECT_NE(key(Model(), 0), key(Model(), 1));
  EXPECT_NE(key(Model(), 0), key(Model(std::string(64, 'b')), 0));
}

TEST(PrepareJob, EverythingWrongIsSaidAtOnce) {
  absl::Status status =
      PrepareJob(TestSpec(), {{"k", 0}}, -1, {{"modell", {Model()}}, {"data", {Model()}}}).status();
  std::vector<std::string> fields;
  for (const Violation& violation : ViolationsOf(status)) fields.push_back(violation.field);
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("inputs.modell", "inputs.model",
                                                      "inputs.data", "params.k", "seed"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("inputs.data takes a DATASET; digits@1 is a MODEL")));
}

TEST(PrepareJob, ThePlanSpeaksLastWithItsOwnCode) {
  GivenArtifact empty = Model();
  empty.header.tensors.clear();
  EXPECT_THAT(PrepareJob(TestSpec(), Json::object(), 0, {{"model", {empty}}}),
              StatusIs(absl::StatusCode::kNotFound, "no tensor head.weight"));
  EXPECT_THAT(PrepareJob(TestSpec(), {{"k", 0}}, 0, {{"model", {empty}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("params.k")));
}

}  // namespace
}  // namespace radiograph
