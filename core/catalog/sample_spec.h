// For tests: a Spec with a parameter of every kind.
#ifndef RADIOGRAPH_CORE_CATALOG_SAMPLE_SPEC_H_
#define RADIOGRAPH_CORE_CATALOG_SAMPLE_SPEC_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/catalog/spec_builder.h"

namespace radiograph {

enum class SampleSpace { kInput, kEmbed, kData };

struct SampleModelParams {
  std::map<std::string, std::string> tensors;
};

struct SampleParams : SampleModelParams {
  bool centre = false;
  int64_t k = 20;
  double threshold = 0.5;
  SampleSpace space = SampleSpace::kInput;
  std::string title = "none";
  std::vector<int64_t> rows;
  std::vector<double> ode_alphas = {0.25};
  std::vector<std::string> words;
  std::optional<int64_t> null_draws;
  std::optional<SampleSpace> other_space;
};

inline absl::StatusOr<Plan> PlanSample(const SampleParams& params, const Headers& headers) {
  if (headers.Find("model") != nullptr && params.k > 100) {
    return ViolationsStatus({{"params.k", "is more than this model has"}});
  }
  return Plan{.memory_bytes = params.k * 1000, .seconds = 1.5};
}

inline SpecOf<SampleParams> SampleSpec(std::string name = "sample.all", int64_t version = 3) {
  const std::vector<std::pair<std::string, SampleSpace>> spaces = {
      {"input", SampleSpace::kInput}, {"embed", SampleSpace::kEmbed}, {"data", SampleSpace::kData}};
  return SpecOf<SampleParams>(std::move(name), version, "All kinds.")
      .Param("tensors", &SampleParams::tensors, {.count_max = 2}, "role to tensor name")
      .Param("centre", &SampleParams::centre, "subtract the mean")
      .Param("k", &SampleParams::k, {.min = 1, .max = 4096}, "eigenvectors kept")
      .Param("threshold", &SampleParams::threshold, {.min = 0}, "at least this much")
      .EnumParam("space", &SampleParams::space, spaces, "where to look")
      .Param("title", &SampleParams::title, {.count_max = 8}, "a heading")
      .Param("rows", &SampleParams::rows, {.min = 0, .count_max = 3}, "outputs")
      .Param("ode.alphas", &SampleParams::ode_alphas, {.max = 1}, "steps")
      .Param("words", &SampleParams::words, "texts")
      .Param("null_draws", &SampleParams::null_draws, {.min = 0}, "draws")
      .EnumParam("other_space", &SampleParams::other_space, spaces, "where else to look")
      .Input("model", ArtifactKind::kModel)
      .Input("data", ArtifactKind::kDataset, {.optional = true, .roles = {"inputs"}})
      .Input("others", ArtifactKind::kModel, {.optional = true, .list = true})
      .Output("eigenvalues", "[C, r]", "logit")
      .Metric("rank", {.better = Better::kLower}, "how many")
      .Plan(&PlanSample);
}

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_CATALOG_SAMPLE_SPEC_H_
