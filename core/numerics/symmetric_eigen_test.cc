#include "core/numerics/symmetric_eigen.h"

#include <cmath>
#include <limits>

#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"

namespace radiograph {
namespace {

using ::radiograph::testing::Distance;
using ::radiograph::testing::Vector;

at::Tensor RandomSymmetric(uint64_t seed, int64_t batch, int64_t size) {
  const at::Tensor m = RandomNormal({.seed = seed}, {batch, size, size});
  return (m + m.mT()) / 2;
}

TEST(EigenDecompose, ByHandOrderedBySize) {
  const at::Tensor q = Vector({1.0, 2.0, 2.0, 1.0, 0.0, 0.5, 0.5, 2.0}).reshape({2, 2, 2});
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen eigen, EigenDecompose(q, q.size(-1)));
  const double root = std::sqrt(1.25);
  EXPECT_TRUE(at::allclose(eigen.values, Vector({3.0, -1.0, 1 + root, 1 - root}).reshape({2, 2}),
                           1e-14, 1e-14));
}

TEST(EigenDecompose, OfEqualSizesTheLargerSignedComesFirst) {
  const at::Tensor q = at::diag(Vector({-2.0, 1.0, 2.0, -1.0})).unsqueeze(0);
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen eigen, EigenDecompose(q, q.size(-1)));
  EXPECT_TRUE(at::equal(eigen.values[0], Vector({2.0, -2.0, 1.0, -1.0})));
}

TEST(EigenDecompose, PairsRebuildTheMatrix) {
  const at::Tensor q = RandomSymmetric(1, 3, 40);
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen eigen, EigenDecompose(q, q.size(-1)));
  const at::Tensor rebuilt =
      at::matmul(eigen.vectors * eigen.values.unsqueeze(-2), eigen.vectors.mT());
  EXPECT_LT(Distance(rebuilt, q), 1e-12);
  EXPECT_LT(eigen.residual_max, 1e-13);
  EXPECT_LT(eigen.orthogonality_max, 1e-13);
}

TEST(EigenDecompose, KeepsTheTopVectors) {
  const at::Tensor q = RandomSymmetric(1, 3, 40);
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen all, EigenDecompose(q, 40));
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen top, EigenDecompose(q, 5));
  EXPECT_TRUE(at::equal(top.values, all.values));
  EXPECT_TRUE(at::equal(top.vectors, all.vectors.narrow(-1, 0, 5)));
}

TEST(EigenDecompose, OnlyTheSymmetricPartMatters) {
  const at::Tensor q = RandomSymmetric(2, 1, 10);
  const at::Tensor any = RandomNormal({.seed = 3}, {1, 10, 10});
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen one, EigenDecompose(q, q.size(-1)));
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen other, EigenDecompose(q + any - any.mT(), 10));
  EXPECT_LT(Distance(one.values, other.values), 1e-13);
}

TEST(EigenDecompose, ExtremeScalesLoseNothing) {
  const at::Tensor q = RandomSymmetric(4, 1, 8);
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen one, EigenDecompose(q, q.size(-1)));
  for (const double scale : {1e-300, 1e300}) {
    ASSERT_OK_AND_ASSIGN(const SymmetricEigen scaled, EigenDecompose(q * scale, 8));
    EXPECT_TRUE(at::allclose(scaled.values / scale, one.values, 1e-12, 1e-12)) << scale;
  }
}

TEST(EigenDecompose, ZeroMatrixHasZeroValuesAndTheIdentity) {
  at::Tensor q = RandomSymmetric(5, 2, 4);
  q[1].zero_();
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen eigen, EigenDecompose(q, q.size(-1)));
  EXPECT_TRUE(at::equal(eigen.values[1], at::zeros({4}, at::kDouble)));
  EXPECT_TRUE(at::equal(eigen.vectors[1], at::eye(4, at::kDouble)));
  EXPECT_GT(eigen.values[0].abs().max().item<double>(), 0);
}

TEST(EigenDecompose, SizeOneAndFloat32) {
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen one,
                       EigenDecompose(at::full({1, 1, 1}, -3.0, at::kDouble), 1));
  EXPECT_EQ(one.values.item<double>(), -3);
  const at::Tensor q = RandomSymmetric(6, 2, 30);
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen exact, EigenDecompose(q, q.size(-1)));
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen single, EigenDecompose(q.to(at::kFloat), 30));
  EXPECT_EQ(single.values.scalar_type(), at::kFloat);
  EXPECT_LT(Distance(single.values.to(at::kDouble), exact.values),
            1e-5);  // |lambda|_max is about 8
  EXPECT_LE(single.residual_max, ResidualTolerance(at::kFloat));
}

TEST(EigenDecompose, ABatchGivesWhatItsMatricesGive) {
  const at::Tensor q = RandomSymmetric(7, 5, 20);
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen batch, EigenDecompose(q, q.size(-1)));
  for (int64_t b = 0; b < 5; ++b) {
    ASSERT_OK_AND_ASSIGN(const SymmetricEigen one, EigenDecompose(q.narrow(0, b, 1), 20));
    EXPECT_LT(Distance(batch.values[b], one.values[0]), 1e-13);
  }
}

std::optional<SymmetricEigen> TopOf(const at::Tensor& q, int64_t k) {
  return TopEigen(
      [&q](const at::Tensor& x) { return at::matmul(q, x); },
      {.batch = q.size(0), .size = q.size(1), .k = k, .tensor = q.options(), .start = {.seed = 9}});
}

// A falling spectrum of both signs, as trained models have.
at::Tensor Falling(uint64_t seed, int64_t size) {
  const at::Tensor basis = HaarOrthogonal({.seed = seed}, size);
  const at::Tensor sign = at::where(at::arange(size) % 3 == 0, -at::ones({size}), at::ones({size}));
  return at::matmul(basis * at::pow(0.8, at::arange(size, at::kDouble)) * sign, basis.t());
}

TEST(TopEigen, GivesTheTopOfTheFullDecomposition) {
  const at::Tensor q = at::stack({Falling(8, 100), -3 * Falling(18, 100)});
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen full, EigenDecompose(q, q.size(-1)));
  for (const int64_t k : {1, 8, 20, 40}) {
    const auto top = TopOf(q, k);
    ASSERT_TRUE(top.has_value()) << k;
    EXPECT_EQ(top->vectors.size(-1), k);
    EXPECT_LT(Distance(top->values, full.values.narrow(-1, 0, k)), 1e-13) << k;
    EXPECT_LE(top->residual_max, 1e-10);
    // A vector is as far off as its residual over the gap to its neighbours.
    const int64_t clear = std::min<int64_t>(k, 8);
    const at::Tensor cosines =
        (top->vectors.narrow(-1, 0, clear) * full.vectors.narrow(-1, 0, clear)).sum(-2).abs();
    EXPECT_LT(Distance(cosines, at::ones_like(cosines)), 1e-12) << k;
  }
}

TEST(TopEigen, OfLowRankWithMoreVectorsThanTheRank) {
  const at::Tensor factor = RandomNormal({.seed = 14}, {1, 60, 2});
  const at::Tensor q = at::matmul(factor, factor.mT());
  const auto top = TopOf(q, 5);
  ASSERT_TRUE(top.has_value());
  EXPECT_LT(top->values.narrow(-1, 2, 3).abs().max().item<double>(), 1e-12);
  EXPECT_LE(top->orthogonality_max, 1e-10);
}

TEST(TopEigen, ExtremeScalesLoseNothing) {
  const at::Tensor q = Falling(8, 50).unsqueeze(0);
  const auto one = TopOf(q, 4);
  ASSERT_TRUE(one.has_value());
  for (const double scale : {1e-250, 1e250}) {
    const auto scaled = TopOf(q * scale, 4);
    ASSERT_TRUE(scaled.has_value()) << scale;
    EXPECT_TRUE(at::allclose(scaled->values / scale, one->values, 1e-12, 1e-12)) << scale;
  }
}

TEST(TopEigen, AFlatSpectrumIsGivenUpSoon) {
  const at::Tensor basis = HaarOrthogonal({.seed = 10}, 60);
  const at::Tensor q =
      at::matmul(basis * at::linspace(1, 0.999, 60, at::kDouble), basis.t()).unsqueeze(0);
  int products = 0;
  auto product = [&](const at::Tensor& x) {
    ++products;
    return at::matmul(q, x);
  };
  EXPECT_FALSE(TopEigen(product, {.batch = 1, .size = 60, .k = 3, .tensor = q.options()}));
  EXPECT_LE(products, 1 + 2 * 6);  // two checks, of the 30 rounds allowed
}

TEST(TopEigen, ZeroMatrixAndAsManyVectorsAsTheSize) {
  at::Tensor q = at::stack({Falling(8, 50), at::zeros({50, 50}, at::kDouble)});
  const auto zero = TopOf(q, 2);
  ASSERT_TRUE(zero.has_value());
  EXPECT_TRUE(at::equal(zero->values[1], at::zeros({2}, at::kDouble)));
  EXPECT_TRUE(at::equal(zero->vectors[1], at::eye(50, at::kDouble).narrow(1, 0, 2)));
  const auto small = TopOf(RandomSymmetric(12, 1, 3), 7);
  ASSERT_TRUE(small.has_value());
  EXPECT_EQ(small->vectors.size(-1), 3);
}

TEST(TopEigen, Float32) {
  const at::Tensor q = Falling(8, 50).unsqueeze(0);
  const auto single = TopOf(q.to(at::kFloat), 4);
  ASSERT_TRUE(single.has_value());
  EXPECT_EQ(single->values.scalar_type(), at::kFloat);
  EXPECT_LT(Distance(single->values.to(at::kDouble), TopOf(q, 4)->values), 1e-5);
}

TEST(Eigenvalues, EqualThoseOfTheDecomposition) {
  const at::Tensor q = RandomSymmetric(13, 2, 25);
  ASSERT_OK_AND_ASSIGN(const SymmetricEigen eigen, EigenDecompose(q, q.size(-1)));
  EXPECT_LT(Distance(Eigenvalues(q), eigen.values), 1e-13);
}

TEST(FixSigns, MakesTheLargestEntryPositiveAndTheFirstOfEquals) {
  const double almost = std::nextafter(2.0, 3.0);  // larger than 2 by rounding only
  const at::Tensor v = Vector({1.0, -2.0, -3.0, almost}).reshape({2, 2});
  const at::Tensor fixed = FixSigns(v);
  EXPECT_TRUE(at::equal(fixed, Vector({-1.0, 2.0, 3.0, -almost}).reshape({2, 2})));
}

}  // namespace
}  // namespace radiograph
