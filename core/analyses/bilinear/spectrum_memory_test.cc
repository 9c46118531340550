// What the Plan says bilinear.spectrum takes, against what it takes.
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/analyses/bilinear/spectrum_testing.h"
#include "core/analyses/catalog.h"
#include "core/base/status_macros.h"
#include "core/compute/machine.h"
#include "tests/support/status_matchers.h"

namespace radiograph::bilinear {
namespace {

using ::radiograph::testing::ArtifactOf;
using ::radiograph::testing::RunAnalysis;

absl::StatusOr<int64_t> PlannedBytes(const std::map<std::string, Artifact>& inputs,
                                     absl::string_view params) {
  ASSIGN_OR_RETURN(const Spec* spec, FindSpec("bilinear.spectrum"));
  ASSIGN_OR_RETURN(const Json given, ParseJson(params));
  ASSIGN_OR_RETURN(const ParamValues values, NormalizeParams(*spec, given));
  Headers headers;
  for (const auto& [name, artifact] : inputs) headers.inputs[name] = {artifact.header};
  ASSIGN_OR_RETURN(const Plan plan, spec->MakePlan(values, headers));
  return plan.memory_bytes;
}

TEST(BilinearSpectrumMemory, IsAsPlanned) {
  struct Case {
    const char* name;
    int64_t outputs, width, hidden, inputs, samples;
    const char* params;
  };
  const Case cases[] = {
      {"large matrices", 6, 600, 300, 600, 10, R"({"null_draws": 0})"},
      {"many outputs", 600, 48, 64, 200, 10, R"({"null_draws": 1, "k": 40})"},
      {"many neurons", 8, 64, 20000, 64, 10, R"({"null_draws": 1})"},
      {"much data", 20, 32, 64, 300, 30000, R"({"space": "data", "samples": [0, 7]})"},
      {"top-k", 6, 600, 300, 600, 10, R"({"null_draws": 0, "solver": "topk", "k": 4})"},
  };
  const Tensors small_data = {{"inputs", Normal(2, {4, 12})}};
  ASSERT_OK(XRayWithData(RandomModel(), small_data).status());  // what is loaded at the first run
  for (const Case& c : cases) {
    const Artifact model = ArtifactOf({{"embed.weight", Normal(1, {c.width, c.inputs}) / 20},
                                       {"blocks.0.weight", Normal(2, {2 * c.hidden, c.width})},
                                       {"head.weight", Normal(3, {c.outputs, c.hidden})}});
    const std::map<std::string, Artifact> inputs = {
        {"model", model}, {"data", ArtifactOf({{"inputs", Normal(4, {c.samples, c.inputs})}})}};
    ASSERT_OK_AND_ASSIGN(const int64_t planned, PlannedBytes(inputs, c.params));
    ResetPeakHostBytes();
    const int64_t before = PeakHostBytes();
    ASSERT_GT(before, 0);
    ASSERT_OK(RunAnalysis("bilinear.spectrum", c.params, inputs).status());
    const int64_t used = PeakHostBytes() - before;
    constexpr int64_t kMebi = int64_t{1} << 20;
    const std::string figures =
        absl::StrCat(c.name, ": ", used / kMebi, " of ", planned / kMebi, " MiB");
    EXPECT_LE(used, planned + 8 * kMebi) << figures;
    EXPECT_LE(planned, 3 * used + 256 * kMebi) << figures;
    RecordProperty(c.name, figures);
  }
}

}  // namespace
}  // namespace radiograph::bilinear
