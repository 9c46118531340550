// bilinear.spectrum as a whole: hand cases, invariances, degenerate cases, errors, and committed
// networks.
#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "core/analyses/analysis.h"
#include "core/numerics/random.h"
#include "core/tensor/tensors.h"
#include "tests/support/artifacts.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"

namespace radiograph::bilinear {
namespace {

using ::radiograph::testing::ArrayOf;
using ::radiograph::testing::ArtifactOf;
using ::radiograph::testing::Distance;
using ::radiograph::testing::FindingOf;
using ::radiograph::testing::Matrix;
using ::radiograph::testing::MetricOf;
using ::radiograph::testing::RunAnalysis;
using ::radiograph::testing::StatusIs;
using ::radiograph::testing::Vector;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Tensors = std::map<std::string, at::Tensor>;
using Artifacts = std::map<std::string, Artifact>;

constexpr absl::string_view kNoDraws = R"({"null_draws": 0})";

absl::StatusOr<Result> XRay(const Tensors& model, absl::string_view params = kNoDraws) {
  return RunAnalysis("bilinear.spectrum", params, {{"model", ArtifactOf(model)}});
}

at::Tensor Normal(uint64_t stream, at::IntArrayRef shape) {
  return RandomNormal({.seed = 21, .stream = stream}, shape);
}

// Hand case H1 of the method, with its projection as head: logits U (L z * R z).
Tensors H1() {
  return {{"blocks.0.w_l", Matrix({{1, 2}, {0, 1}, {1, -1}})},
          {"blocks.0.w_r", Matrix({{0, 1}, {1, 1}, {2, 0}})},
          {"head.weight", Matrix({{1, 0, 0}, {1, -1, 2}})}};
}

// d = 8, m = 6, n = 12, C = 3.
Tensors RandomModel() {
  return {{"embed.weight", Normal(1, {8, 12})},
          {"blocks.0.w_l", Normal(2, {6, 8})},
          {"blocks.0.w_r", Normal(3, {6, 8})},
          {"head.weight", Normal(4, {3, 6})}};
}

TEST(BilinearSpectrum, HandCase) {
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(H1()));
  const double root = std::sqrt(1.25);
  EXPECT_LT(Distance(ArrayOf(result, "eigenvalues"), Matrix({{1 + root, 1 - root}, {5, 0}})),
            1e-14);
  EXPECT_LT(Distance(ArrayOf(result, "effective_rank"), Vector({10.0 / 9, 1})), 1e-14);
  EXPECT_NEAR(*MetricOf(result, "effective_rank_mean").value, (10.0 / 9 + 1) / 2, 1e-14);
  // Q_1 = 5 v v^T with v = (2, -1) / sqrt 5; its largest entry is positive.
  EXPECT_LT(Distance(ArrayOf(result, "eigenvectors_input")[1][0], Vector({2, -1}) / std::sqrt(5)),
            1e-14);
}

TEST(BilinearSpectrum, HandCaseInInputSpace) {
  Tensors model = H1();
  model["embed.weight"] = Matrix({{1, 0, 1}, {0, 2, 0}});
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(model));
  const double root = 3 * std::sqrt(2);
  EXPECT_LT(Distance(ArrayOf(result, "eigenvalues"), Matrix({{4 + root, 4 - root}, {12, 0}})),
            1e-13);
  // As an eigenproblem in R^3, without the reduction to the row space of E.
  const at::Tensor full = at::linalg_eigvalsh(Matrix({{0, 1, 0}, {1, 8, 1}, {0, 1, 0}}));
  EXPECT_NEAR(full[2].item<double>(), 4 + root, 1e-13);
}

// x1 x2, and (x1 - x2)^2.
TEST(BilinearSpectrum, AndAndXor) {
  ASSERT_OK_AND_ASSIGN(const Result both, XRay({{"blocks.0.w_l", Matrix({{1, 0}})},
                                                {"blocks.0.w_r", Matrix({{0, 1}})},
                                                {"head.weight", Matrix({{1}})}}));
  EXPECT_LT(Distance(ArrayOf(both, "eigenvalues"), Matrix({{0.5, -0.5}})), 1e-15);
  EXPECT_NEAR(ArrayOf(both, "effective_rank").item<double>(), 2, 1e-14);
  ASSERT_OK_AND_ASSIGN(const Result either, XRay({{"blocks.0.w_l", Matrix({{1, -1}})},
                                                  {"blocks.0.w_r", Matrix({{1, -1}})},
                                                  {"head.weight", Matrix({{1}})}}));
  EXPECT_LT(Distance(ArrayOf(either, "eigenvalues"), Matrix({{2, 0}})), 1e-15);
}

TEST(BilinearSpectrum, BiasesGiveLinearAndConstantParts) {
  ASSERT_OK_AND_ASSIGN(const Result result, XRay({{"blocks.0.weight", Matrix({{1}, {1}})},
                                                  {"blocks.0.bias", Vector({2, 3})},
                                                  {"head.weight", Matrix({{1}})},
                                                  {"head.bias", Vector({0.5})}}));
  EXPECT_EQ(ArrayOf(result, "eigenvalues").item<double>(), 1);
  EXPECT_EQ(ArrayOf(result, "linear").item<double>(), 5);
  EXPECT_EQ(ArrayOf(result, "constant").item<double>(), 6.5);
  EXPECT_NE(FindingOf(result, "BIASES"), nullptr);
}

TEST(BilinearSpectrum, FusedAndSeparateWeightsAreTheSame) {
  Tensors fused = RandomModel();
  fused["blocks.0.weight"] = at::cat({fused["blocks.0.w_l"], fused["blocks.0.w_r"]});
  fused.erase("blocks.0.w_l");
  fused.erase("blocks.0.w_r");
  ASSERT_OK_AND_ASSIGN(const Result one, XRay(RandomModel()));
  ASSERT_OK_AND_ASSIGN(const Result other, XRay(fused));
  EXPECT_TRUE(at::equal(ArrayOf(one, "eigenvalues"), ArrayOf(other, "eigenvalues")));
}

TEST(BilinearSpectrum, ProjectionMapAndDirections) {
  const at::Tensor proj = Normal(5, {5, 6}), directions = Normal(6, {4, 5});
  Tensors model = {
      {"l", Normal(2, {6, 8})}, {"r", Normal(3, {6, 8})}, {"p", proj}, {"u", directions}};
  ASSERT_OK_AND_ASSIGN(
      const Result mapped,
      XRay(
          model,
          R"({"null_draws": 0, "tensors": {"left": "l", "right": "r", "proj": "p", "head": "u"}})"));
  ASSERT_OK_AND_ASSIGN(const Result folded, XRay({{"blocks.0.w_l", model["l"]},
                                                  {"blocks.0.w_r", model["r"]},
                                                  {"head.weight", at::matmul(directions, proj)}}));
  EXPECT_LT(Distance(ArrayOf(mapped, "eigenvalues"), ArrayOf(folded, "eigenvalues")), 1e-12);
  model.erase("u");
  ASSERT_OK_AND_ASSIGN(
      const Result given,
      RunAnalysis("bilinear.spectrum",
                  R"({"null_draws": 0, "tensors": {"left": "l", "right": "r", "proj": "p"}})",
                  {{"model", ArtifactOf(model)},
                   {"directions", ArtifactOf({{"directions", directions}})}}));
  EXPECT_TRUE(at::equal(ArrayOf(given, "eigenvalues"), ArrayOf(mapped, "eigenvalues")));
  EXPECT_NE(FindingOf(given, "DIRECTIONS_GIVEN"), nullptr);
}

TEST(BilinearSpectrum, RowsSelectOutputs) {
  ASSERT_OK_AND_ASSIGN(const Result all, XRay(RandomModel()));
  ASSERT_OK_AND_ASSIGN(const Result two,
                       XRay(RandomModel(), R"({"null_draws": 0, "rows": [2, 0]})"));
  const at::Tensor picked =
      ArrayOf(all, "eigenvalues").index_select(0, at::tensor({2, 0}, at::kLong));
  EXPECT_LT(Distance(ArrayOf(two, "eigenvalues"), picked), 1e-13);
}

TEST(BilinearSpectrum, CentringSubtractsTheMeanOfAllOutputs) {
  Tensors centred = RandomModel();
  centred["head.weight"] = centred["head.weight"] - centred["head.weight"].mean(0);
  ASSERT_OK_AND_ASSIGN(const Result by_hand, XRay(centred));
  ASSERT_OK_AND_ASSIGN(const Result asked,
                       XRay(RandomModel(), R"({"null_draws": 0, "centre": true})"));
  EXPECT_LT(Distance(ArrayOf(asked, "eigenvalues"), ArrayOf(by_hand, "eigenvalues")), 1e-12);
}

// The function of a layer doesn't change, nor may any number of its X-ray in input space.
TEST(BilinearSpectrum, InvariantUnderWhatLeavesTheFunctionAlone) {
  const Tensors base = RandomModel();
  const at::Tensor order = at::tensor({3, 1, 5, 0, 2, 4}, at::kLong);
  const at::Tensor scale = Vector({2, -1, 0.5, 3, -4, 1}).unsqueeze(1);
  const at::Tensor flip = Vector({1, 0, 0, 1, 1, 0}).unsqueeze(1);
  const at::Tensor basis = at::eye(8, at::kDouble) + 0.2 * Normal(7, {8, 8});
  struct Case {
    const char* name;
    std::function<void(Tensors&)> change;
  };
  const Case cases[] = {
      {"neurons permuted",
       [&](Tensors& t) {
         for (const char* side : {"blocks.0.w_l", "blocks.0.w_r"})
           t[side] = t[side].index_select(0, order);
         t["head.weight"] = t["head.weight"].index_select(1, order);
       }},
      {"neurons scaled",
       [&](Tensors& t) {
         t["blocks.0.w_l"] = t["blocks.0.w_l"] * scale;
         t["head.weight"] = t["head.weight"] / scale.t();
       }},
      {"signs of both sides flipped",
       [&](Tensors& t) {
         for (const char* side : {"blocks.0.w_l", "blocks.0.w_r"})
           t[side] = t[side] * (1 - 2 * flip);
       }},
      {"sides swapped",
       [&](Tensors& t) {
         const at::Tensor left = t["blocks.0.w_l"], right = t["blocks.0.w_r"];
         t["blocks.0.w_l"] = left + flip * (right - left);
         t["blocks.0.w_r"] = right + flip * (left - right);
       }},
      {"basis of the embedding changed",
       [&](Tensors& t) {
         t["embed.weight"] = at::matmul(basis, t["embed.weight"]);
         for (const char* side : {"blocks.0.w_l", "blocks.0.w_r"}) {
           t[side] = at::matmul(t[side], at::linalg_inv(basis));
         }
       }},
  };
  ASSERT_OK_AND_ASSIGN(const Result before, XRay(base));
  const double largest = ArrayOf(before, "eigenvalues").abs().max().item<double>();
  for (const Case& c : cases) {
    Tensors changed = base;
    c.change(changed);
    ASSERT_OK_AND_ASSIGN(const Result after, XRay(changed));
    EXPECT_LT(Distance(ArrayOf(after, "eigenvalues"), ArrayOf(before, "eigenvalues")),
              1e-11 * largest)
        << c.name;
    EXPECT_LT(Distance(ArrayOf(after, "eigenvectors_input").narrow(1, 0, 4),
                       ArrayOf(before, "eigenvectors_input").narrow(1, 0, 4)),
              1e-8)
        << c.name;
  }
}

TEST(BilinearSpectrum, RotatingTheInputRotatesTheVectorsOnly) {
  const at::Tensor rotation = HaarOrthogonal({.seed = 22}, 12);
  Tensors rotated = RandomModel();
  rotated["embed.weight"] = at::matmul(rotated["embed.weight"], rotation.t());  // x -> rotation x
  ASSERT_OK_AND_ASSIGN(const Result before, XRay(RandomModel()));
  ASSERT_OK_AND_ASSIGN(const Result after, XRay(rotated));
  EXPECT_LT(Distance(ArrayOf(after, "eigenvalues"), ArrayOf(before, "eigenvalues")), 1e-11);
  const at::Tensor expected = at::matmul(ArrayOf(before, "eigenvectors_input"), rotation.t());
  const at::Tensor cosines =
      (ArrayOf(after, "eigenvectors_input") * expected).sum(-1).abs().narrow(1, 0, 4);
  EXPECT_LT(Distance(cosines, at::ones_like(cosines)), 1e-9);
}

TEST(BilinearSpectrum, ScalingADirectionScalesItsEigenvaluesOnly) {
  Tensors scaled = RandomModel();
  scaled["head.weight"] = scaled["head.weight"] * Vector({3, 1e-8, 1e8}).unsqueeze(1);
  ASSERT_OK_AND_ASSIGN(const Result before, XRay(RandomModel()));
  ASSERT_OK_AND_ASSIGN(const Result after, XRay(scaled));
  EXPECT_TRUE(at::allclose(ArrayOf(after, "eigenvalues"),
                           ArrayOf(before, "eigenvalues") * Vector({3, 1e-8, 1e8}).unsqueeze(1),
                           1e-9, 1e-12));
  EXPECT_LT(Distance(ArrayOf(after, "effective_rank"), ArrayOf(before, "effective_rank")), 1e-10);
}

TEST(BilinearSpectrum, TraceAndFrobeniusNorm) {
  Tensors model = RandomModel();
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(model));
  const at::Tensor left = at::matmul(model["blocks.0.w_l"], model["embed.weight"]);
  const at::Tensor right = at::matmul(model["blocks.0.w_r"], model["embed.weight"]);
  at::Tensor q = at::einsum("om,mi,mj->oij", {model["head.weight"], left, right});
  q = (q + q.mT()) / 2;
  const at::Tensor lambda = ArrayOf(result, "eigenvalues");
  EXPECT_LT(Distance(lambda.sum(1), q.diagonal(0, 1, 2).sum(1)), 1e-10);
  EXPECT_LT(Distance(lambda.square().sum(1).sqrt(), q.square().sum({1, 2}).sqrt()), 1e-10);
}

TEST(BilinearSpectrum, VectorsOfInputSpaceAreOrthonormalThoseOfEmbedArePictures) {
  ASSERT_OK_AND_ASSIGN(const Result input, XRay(RandomModel()));
  const at::Tensor v = ArrayOf(input, "eigenvectors_input")[0];
  EXPECT_LT(Distance(at::matmul(v, v.t()), at::eye(8, at::kDouble)), 1e-12);
  ASSERT_OK_AND_ASSIGN(const Result embed,
                       XRay(RandomModel(), R"({"null_draws": 0, "space": "embed"})"));
  // In both, lambda (v . x)^2 adds up to the output.
  const at::Tensor x = Normal(8, {12});
  for (const Result* result : {&input, &embed}) {
    const at::Tensor overlap = at::matmul(ArrayOf(*result, "eigenvectors_input"), x);
    const at::Tensor sum = (ArrayOf(*result, "eigenvalues") * overlap.square()).sum(1);
    Tensors model = RandomModel();
    const at::Tensor z = at::mv(model["embed.weight"], x);
    const at::Tensor hidden = at::mv(model["blocks.0.w_l"], z) * at::mv(model["blocks.0.w_r"], z);
    EXPECT_LT(Distance(sum, at::mv(model["head.weight"], hidden)), 1e-9);
  }
}

TEST(BilinearSpectrum, RankIsAtMostTwiceTheNeurons) {
  ASSERT_OK_AND_ASSIGN(const Result result, XRay({{"blocks.0.w_l", Normal(1, {1, 6})},
                                                  {"blocks.0.w_r", Normal(2, {1, 6})},
                                                  {"head.weight", Matrix({{2}})}}));
  // m = 1: p (l . r +- |l| |r|) / 2.
  const at::Tensor l = Normal(1, {6}), r = Normal(2, {6});
  const double dot = l.dot(r).item<double>(), norms = (l.norm() * r.norm()).item<double>();
  const at::Tensor lambda = ArrayOf(result, "eigenvalues")[0];
  const double expected[] = {dot + norms, dot - norms};
  EXPECT_NEAR(lambda.max().item<double>(), expected[0], 1e-12);
  EXPECT_NEAR(lambda.min().item<double>(), expected[1], 1e-12);
  EXPECT_LT(lambda.narrow(0, 2, 4).abs().max().item<double>(), 1e-13);
}

TEST(BilinearSpectrum, FewerInputsThanWidth) {
  Tensors model = RandomModel();
  model["embed.weight"] = Normal(9, {8, 3});
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(model));
  EXPECT_EQ(ArrayOf(result, "eigenvalues").sizes(), (at::IntArrayRef{3, 3}));
  EXPECT_EQ(ArrayOf(result, "eigenvectors_input").sizes(), (at::IntArrayRef{3, 3, 3}));
  EXPECT_NE(FindingOf(result, "K_CLAMPED"), nullptr);
}

TEST(BilinearSpectrum, WidthOne) {
  ASSERT_OK_AND_ASSIGN(
      const Result result,
      XRay({{"blocks.0.weight", Matrix({{2}, {-3}})}, {"head.weight", Matrix({{5}})}}, "{}"));
  EXPECT_EQ(ArrayOf(result, "eigenvalues").item<double>(), -30);
  EXPECT_EQ(ArrayOf(result, "effective_rank").item<double>(), 1);
  EXPECT_EQ(ArrayOf(result, "pixel_count").sizes(), (at::IntArrayRef{1, 1}));
}

TEST(BilinearSpectrum, AZeroDirectionIsAWarningNotAnError) {
  Tensors model = RandomModel();
  model["head.weight"][1].zero_();
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(model, "{}"));
  EXPECT_EQ(ArrayOf(result, "eigenvalues")[1].abs().max().item<double>(), 0);
  EXPECT_TRUE(ArrayOf(result, "effective_rank")[1].isnan().item<bool>());
  const Finding* finding = FindingOf(result, "ZERO_DIRECTION");
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->level, FindingLevel::kWarning);
  EXPECT_EQ(*MetricOf(result, "effective_rank_mean").n, 2);
  model["head.weight"].zero_();
  ASSERT_OK_AND_ASSIGN(const Result nothing, XRay(model, "{}"));
  EXPECT_EQ(MetricOf(nothing, "effective_rank_mean").value, std::nullopt);
  EXPECT_EQ(MetricOf(nothing, "effective_rank_mean").reason, "ZERO_DIRECTION");
}

TEST(BilinearSpectrum, HalfPrecisionWeightsAreRead) {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kFloat}) {
    Tensors narrow = RandomModel(), wide = narrow;
    for (auto& [name, tensor] : narrow) {
      tensor = tensor.to(dtype);
      wide[name] = tensor.to(at::kDouble);
    }
    ASSERT_OK_AND_ASSIGN(const Result from_narrow, XRay(narrow));
    ASSERT_OK_AND_ASSIGN(const Result from_wide, XRay(wide));
    EXPECT_TRUE(at::equal(ArrayOf(from_narrow, "eigenvalues"), ArrayOf(from_wide, "eigenvalues")));
  }
}

TEST(BilinearSpectrum, Float32IsCloseToFloat64) {
  ASSERT_OK_AND_ASSIGN(const Result exact, XRay(RandomModel()));
  ASSERT_OK_AND_ASSIGN(const Result single,
                       XRay(RandomModel(), R"({"null_draws": 0, "precision": "float32"})"));
  const at::Tensor lambda = ArrayOf(exact, "eigenvalues");
  EXPECT_EQ(ArrayOf(single, "eigenvalues").scalar_type(), at::kFloat);
  EXPECT_LT(Distance(ArrayOf(single, "eigenvalues").to(at::kDouble), lambda),
            1e-5 * lambda.abs().max().item<double>());
}

TEST(BilinearSpectrum, NaNIsRefusedByTensorAndIndex) {
  Tensors model = RandomModel();
  model["blocks.0.w_r"] = model["blocks.0.w_r"].clone();
  model["blocks.0.w_r"][1][3] = std::nan("");
  EXPECT_THAT(XRay(model),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("blocks.0.w_r"), HasSubstr("nan at flat index 11"))));
}

TEST(BilinearSpectrum, CancelEndsTheRun) {
  EXPECT_THAT(RunAnalysis("bilinear.spectrum", "{}", {{"model", ArtifactOf(RandomModel())}},
                          {.cancel_after = 1}),
              StatusIs(absl::StatusCode::kCancelled, "user"));
}

TEST(BilinearSpectrum, AssumingBilinearIsTheFirstFinding) {
  const Artifact model = ArtifactOf(RandomModel(), R"({"hidden_act": "silu"})");
  ASSERT_OK_AND_ASSIGN(
      const Result result,
      RunAnalysis("bilinear.spectrum", R"({"assume_bilinear": true})", {{"model", model}}));
  EXPECT_EQ(result.findings.front().code, "ASSUMED_BILINEAR");
  EXPECT_THAT(result.findings.front().text, HasSubstr("silu"));
}

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

absl::StatusOr<Result> XRayWithData(const Tensors& model, const Tensors& data,
                                    absl::string_view params = kNoDraws) {
  return RunAnalysis("bilinear.spectrum", params,
                     {{"model", ArtifactOf(model)}, {"data", ArtifactOf(data)}});
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

TEST(BilinearSpectrum, BytesDoNotDependOnThreads) {
  Tensors model = RandomModel();
  model.erase("embed.weight");
  const int before = at::get_num_threads();
  std::vector<Result> results;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    ASSERT_OK_AND_ASSIGN(Result result, XRay(model, "{}"));
    results.push_back(std::move(result));
  }
  at::set_num_threads(before);
  for (const Result& result : results) {
    ASSERT_EQ(result.arrays.size(), results[0].arrays.size());
    for (size_t i = 0; i < result.arrays.size(); ++i) {
      EXPECT_EQ(result.arrays[i].bytes, results[0].arrays[i].bytes) << result.arrays[i].name;
    }
  }
}

TEST(BilinearSpectrum, AMisspeltOptionalTensorIsWarnedOf) {
  Tensors model = RandomModel();
  EXPECT_EQ(FindingOf(*XRay(model), "UNREAD_TENSORS"), nullptr);
  model["embde.weight"] = Normal(31, {6, 6});
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(model));
  const Finding* finding = FindingOf(result, "UNREAD_TENSORS");
  ASSERT_NE(finding, nullptr);
  EXPECT_THAT(finding->text, HasSubstr("embde.weight"));
}

TEST(BilinearSpectrum, OneLayerOfSeveralIsSaidToBeOne) {
  Tensors model = RandomModel();
  model["blocks.1.w_l"] = Normal(31, {6, 6});
  model["blocks.1.w_r"] = Normal(32, {6, 6});
  ASSERT_OK_AND_ASSIGN(const Result last, XRay(model));
  ASSERT_NE(FindingOf(last, "ONE_LAYER"), nullptr);
  EXPECT_EQ(ArrayOf(last, "eigenvectors_input").size(-1),
            6);  // reads what layer 0 writes, not the input
  ASSERT_OK_AND_ASSIGN(const Result first, XRay(model, R"({"null_draws": 0, "layer": 0})"));
  EXPECT_EQ(ArrayOf(first, "eigenvectors_input").size(-1), 12);
}

}  // namespace
}  // namespace radiograph::bilinear
