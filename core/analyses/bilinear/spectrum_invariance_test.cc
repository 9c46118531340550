// bilinear.spectrum as a whole: what must not change, and sums that must hold.
#include "core/analyses/bilinear/spectrum_testing.h"
#include "core/numerics/random.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"

namespace radiograph::bilinear {
namespace {

using ::radiograph::testing::ArrayOf;
using ::radiograph::testing::Distance;
using ::radiograph::testing::MetricOf;
using ::radiograph::testing::Vector;

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

// Fewer neurons than half the width: the top-k solver never forms a matrix.
TEST(BilinearSpectrum, TopKOfFewNeuronsIsThatOfTheMatrices) {
  const Tensors model = {{"blocks.0.w_l", Normal(51, {6, 40})},
                         {"blocks.0.w_r", Normal(52, {6, 40})},
                         {"head.weight", Normal(53, {3, 6})}};
  const std::string params = R"({"null_draws": 0, "k": 4)";
  ASSERT_OK_AND_ASSIGN(const Result full, XRay(model, params + "}"));
  ASSERT_OK_AND_ASSIGN(const Result top, XRay(model, params + R"(, "solver": "topk"})"));
  const at::Tensor lambda = ArrayOf(full, "eigenvalues");
  EXPECT_LT(Distance(ArrayOf(top, "eigenvalues"), lambda.narrow(1, 0, 4)),
            1e-12 * lambda.abs().max().item<double>());
  EXPECT_LT(Distance(ArrayOf(top, "stable_rank"), ArrayOf(full, "stable_rank")), 1e-11);
  EXPECT_LE(*MetricOf(top, "effective_rank_mean").value,
            *MetricOf(full, "effective_rank_mean").value);
  EXPECT_GE(*MetricOf(top, "effective_rank_mean").high,
            *MetricOf(full, "effective_rank_mean").value);
}

}  // namespace
}  // namespace radiograph::bilinear
