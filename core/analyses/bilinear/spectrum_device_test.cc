// bilinear.spectrum keeps its tensors on the device it is given, and finds there what it finds on
// the CPU.
#include "absl/strings/str_cat.h"
#include "core/analyses/bilinear/spectrum_testing.h"
#include "core/tensor/tensors.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"
#include "tests/support/test_device.h"

namespace radiograph::bilinear {
namespace {

using ::radiograph::testing::Distance;
using ::radiograph::testing::TestDevice;

// Batches sum in another order than single matrices: last digits differ.
void ExpectSame(const Result& there, const Result& here) {
  ASSERT_EQ(there.arrays.size(), here.arrays.size());
  for (size_t i = 0; i < here.arrays.size(); ++i) {
    EXPECT_EQ(there.arrays[i].name, here.arrays[i].name);
    const at::Tensor expected = ToTensor(here.arrays[i]);
    EXPECT_LE(Distance(ToTensor(there.arrays[i]), expected),
              1e-9 * expected.abs().max().item<double>())
        << here.arrays[i].name;
  }
  ASSERT_EQ(there.figures.size(), here.figures.size());
  ASSERT_EQ(there.tables.size(), here.tables.size());
  for (size_t i = 0; i < here.tables.size(); ++i) {
    EXPECT_EQ(there.tables[i].rows.size(), here.tables[i].rows.size()) << here.tables[i].name;
  }
}

TEST(BilinearSpectrumOnADevice, FindsWhatItFindsOnTheCpu) {
  Tensors model = RandomModel();
  model["blocks.0.w_l.bias"] = Normal(41, {6});
  const Tensors data = {{"inputs", Normal(42, {40, 12})},
                        {"labels", at::arange(40, at::kLong).remainder(3)}};
  for (const char* space : {"input", "embed", "data"}) {
    for (const char* solver : {"full", "topk"}) {
      const std::string params =
          absl::StrCat(R"({"null_draws": 2, "k": 2, "samples": [3, 0], "image_shape": [3, 4], )",
                       R"("rows": [2, 0], "centre": true, "space": ")", space, R"(", "solver": ")",
                       solver, R"(", "tensors": {"left_bias": "blocks.0.w_l.bias"}})");
      ASSERT_OK_AND_ASSIGN(const Result here, XRayWithData(model, data, params));
      ASSERT_OK_AND_ASSIGN(const Result there,
                           XRayWithData(model, data, params, {.device = TestDevice()}));
      SCOPED_TRACE(params);
      ExpectSame(there, here);
    }
  }
}

// More outputs than one batch takes.
TEST(BilinearSpectrumOnADevice, ManyOutputsComeInBatches) {
  Tensors model = RandomModel();
  model["head.weight"] = Normal(43, {150, 6});
  ASSERT_OK_AND_ASSIGN(const Result here, XRay(model, R"({"null_draws": 1})"));
  ASSERT_OK_AND_ASSIGN(const Result there,
                       XRay(model, R"({"null_draws": 1})", {.device = TestDevice()}));
  ExpectSame(there, here);
}

}  // namespace
}  // namespace radiograph::bilinear
