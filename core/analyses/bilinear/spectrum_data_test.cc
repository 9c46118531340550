// bilinear.spectrum as a whole: the null of random rotations, and data.
#include <cmath>
#include <limits>

#include "core/analyses/bilinear/spectrum_testing.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"

namespace radiograph::bilinear {
namespace {

using ::radiograph::testing::ArrayOf;
using ::radiograph::testing::Distance;
using ::radiograph::testing::Matrix;
using ::radiograph::testing::MetricOf;
using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

// With one neuron the largest |eigenvalue| is p (|l . r| + |l| |r|) / 2: rotations keep |l| and
// |r|, so that it lies between p |l| |r| / 2 and p |l| |r|.
TEST(BilinearSpectrum, RotationsOfTheNullKeepNorms) {
  ASSERT_OK_AND_ASSIGN(const Result result, XRay({{"blocks.0.w_l", Normal(1, {1, 5})},
                                                  {"blocks.0.w_r", Normal(2, {1, 5})},
                                                  {"head.weight", Matrix({{2}})}},
                                                 R"({"null_draws": 50})"));
  const double bound = 2 * (Normal(1, {5}).norm() * Normal(2, {5}).norm()).item<double>();
  const double threshold = ArrayOf(result, "null_threshold").item<double>();
  EXPECT_GT(threshold, 0.8 * bound);  // of 50 draws one comes near
  EXPECT_LE(threshold, bound * (1 + 1e-12));
}

// A layer whose sides are random has nothing to find: p of its first eigenvalue is uniform on 1/21
// ... 21/21, with mean 0.524 and deviation 0.29; the mean of 60 has deviation 0.037, the limit is 5
// of them.
TEST(BilinearSpectrum, RandomLayersAreNotSignificantAlignedOnesAre) {
  double sum = 0;
  for (uint64_t i = 0; i < 60; ++i) {
    ASSERT_OK_AND_ASSIGN(const Result random, XRay({{"blocks.0.w_l", Normal(100 + i, {6, 8})},
                                                    {"blocks.0.w_r", Normal(200 + i, {6, 8})},
                                                    {"head.weight", Normal(300 + i, {1, 6})}},
                                                   "{}"));
    sum += ArrayOf(random, "p_values")[0][0].item<double>();
  }
  EXPECT_NEAR(sum / 60, 0.524, 0.19);
  ASSERT_OK_AND_ASSIGN(const Result aligned, XRay({{"blocks.0.w_l", Normal(1, {6, 8})},
                                                   {"blocks.0.w_r", Normal(1, {6, 8})},
                                                   {"head.weight", at::ones({1, 6}, at::kDouble)}},
                                                  "{}"));
  EXPECT_EQ(ArrayOf(aligned, "p_values")[0][0].item<double>(), 1.0 / 21);
}

TEST(BilinearSpectrum, DataByHand) {
  ASSERT_OK_AND_ASSIGN(const Result result,
                       XRayWithData(H1(),
                                    {{"inputs", Matrix({{1, 2}, {0.01, 0}})},
                                     {"labels", at::tensor({0, 0}, at::kLong)}},
                                    R"({"null_draws": 0, "samples": [0]})"));
  EXPECT_LT(Distance(ArrayOf(result, "logits"), Matrix({{10, 0}, {0, 4e-4}})), 1e-13);
  EXPECT_EQ(*MetricOf(result, "accuracy").value, 0.5);
  // Output 1: 5 (v . x)^2 with v = (2, -1) / sqrt 5 is 0 and 4e-4. Output 0 fires for the first
  // sample.
  EXPECT_NEAR(ArrayOf(result, "contributions_mean")[1][0].item<double>(), 2e-4, 1e-13);
  EXPECT_EQ(ArrayOf(result, "firing_frequency")[1][0].item<double>(), 0);
  EXPECT_EQ(ArrayOf(result, "firing_frequency")[0][0].item<double>(), 0.5);
  double sum = 0;
  for (const auto& row : result.tables[1].rows) {
    if (std::get<std::string>(row[1]) == "0") sum += std::get<double>(row[5]);
  }
  EXPECT_NEAR(sum, 10, 1e-12);
}

TEST(BilinearSpectrum, MetricsWithoutDataSayWhy) {
  ASSERT_OK_AND_ASSIGN(const Result bare, XRay(H1()));
  EXPECT_EQ(MetricOf(bare, "accuracy").value, std::nullopt);
  EXPECT_EQ(MetricOf(bare, "accuracy").reason, "NO_DATA");
  EXPECT_EQ(MetricOf(bare, "significant_mean").reason, "NO_DRAWS");
  ASSERT_OK_AND_ASSIGN(const Result unlabelled, XRayWithData(H1(), {{"inputs", Matrix({{1, 2}})}}));
  EXPECT_EQ(MetricOf(unlabelled, "accuracy").reason, "NO_LABELS");
  ASSERT_OK_AND_ASSIGN(const Result empty,
                       XRayWithData(H1(), {{"inputs", at::zeros({0, 2}, at::kDouble)}}));
  EXPECT_EQ(MetricOf(empty, "accuracy").reason, "NO_DATA");
}

TEST(BilinearSpectrum, DataOfOtherNumbersAndShapes) {
  const at::Tensor bytes = at::tensor({0, 255, 3, 4, 5, 6, 7, 8}, at::kByte).reshape({4, 2, 1});
  ASSERT_OK_AND_ASSIGN(const Result result, XRayWithData(H1(), {{"inputs", bytes}}));
  EXPECT_EQ(ArrayOf(result, "logits").sizes(), (at::IntArrayRef{4, 2}));
  // All-zero data has no second moments: the ridge alone keeps space data defined.
  ASSERT_OK_AND_ASSIGN(const Result zero,
                       XRayWithData(H1(), {{"inputs", at::zeros({3, 2}, at::kDouble)}},
                                    R"({"null_draws": 0, "space": "data"})"));
  EXPECT_TRUE(ArrayOf(zero, "eigenvalues").isfinite().all().item<bool>());
}

TEST(BilinearSpectrum, WrongDataIsNamedByRow) {
  EXPECT_THAT(XRayWithData(H1(), {{"inputs", Matrix({{1, 2}, {0, 0}})},
                                  {"labels", at::tensor({0, 2}, at::kLong)}}),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("row 1: the label is 2; 0..1")));
  EXPECT_THAT(
      XRayWithData(H1(), {{"inputs", Matrix({{1, 2}, {0, std::nan("")}})}}),
      StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("row 1"), HasSubstr("nan"))));
}

}  // namespace
}  // namespace radiograph::bilinear
