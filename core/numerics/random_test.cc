#include "core/numerics/random.h"

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

// Random123 1.14.0, tests/kat_vectors, the lines "philox4x32 10".
TEST(Philox, KnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, AnElementDependsOnStreamAndIndexAlone) {
  const at::Tensor longer = RandomNormal({.seed = 7, .stream = 3}, {101});
  EXPECT_TRUE(at::equal(RandomNormal({.seed = 7, .stream = 3}, {5, 10}).reshape(-1),
                        longer.narrow(0, 0, 50)));
  EXPECT_FALSE(at::equal(RandomNormal({.seed = 8, .stream = 3}, {101}), longer));
  EXPECT_FALSE(at::equal(RandomNormal({.seed = 7, .stream = 4}, {101}), longer));
}

// 100,000 samples: the standard error of a mean is sd / 316; the limits are 5 of them.
TEST(Random, MomentsOfUniformAndNormal) {
  const at::Tensor uniform = RandomUniform({.seed = 1}, {100000});
  EXPECT_GE(uniform.min().item<double>(), 0);
  EXPECT_LT(uniform.max().item<double>(), 1);
  EXPECT_NEAR(uniform.mean().item<double>(), 0.5, 5 * 0.2887 / 316);
  const at::Tensor normal = RandomNormal({.seed = 1}, {100000});
  EXPECT_NEAR(normal.mean().item<double>(), 0, 5.0 / 316);
  EXPECT_NEAR(normal.square().mean().item<double>(), 1, 5 * 1.4142 / 316);
  EXPECT_NEAR(normal.pow(4).mean().item<double>(), 3, 5 * 9.798 / 316);
}

TEST(HaarOrthogonal, IsOrthogonal) {
  const at::Tensor q = HaarOrthogonal({.seed = 2}, 40);
  EXPECT_LT((at::matmul(q.t(), q) - at::eye(40, at::kDouble)).abs().max().item<double>(), 1e-13);
}

// Under the Haar measure every entry has mean 0 and mean square 1 / d, and det = +1 and -1 are
// equally likely. Without the correction by R's signs the diagonal of a Householder QR would be
// biased.
TEST(HaarOrthogonal, EntriesAreCentredAndOfEqualSize) {
  constexpr int64_t kDraws = 1000, kSize = 3;
  std::vector<at::Tensor> draws;
  for (int64_t i = 0; i < kDraws; ++i) {
    draws.push_back(HaarOrthogonal({.seed = 5, .stream = static_cast<uint64_t>(i)}, kSize));
  }
  const at::Tensor all = at::stack(draws);
  // sd of an entry 0.577, of its square about 0.3, of det 1; 5 standard errors.
  EXPECT_LT(all.mean(0).abs().max().item<double>(), 5 * 0.577 / 31.6);
  EXPECT_LT((all.square().mean(0) - 1.0 / kSize).abs().max().item<double>(), 5 * 0.3 / 31.6);
  EXPECT_LT(std::abs(at::linalg_det(all).mean().item<double>()), 5 / 31.6);
}

}  // namespace
}  // namespace radiograph
