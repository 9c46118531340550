#include "core/numerics/spectrum.h"

#include <cmath>
#include <tuple>

#include "core/numerics/random.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"

namespace radiograph {
namespace {

using ::radiograph::testing::Matrix;
using ::radiograph::testing::Vector;

TEST(MeasureSpectrum, ByHand) {
  const SpectrumMeasures m = MeasureSpectrum(Vector({3.0, -1.0, 0.0}));
  EXPECT_DOUBLE_EQ(m.effective_rank.item<double>(), 16.0 / 10);
  EXPECT_DOUBLE_EQ(m.stable_rank.item<double>(), 10.0 / 9);
  EXPECT_DOUBLE_EQ(m.entropy_rank.item<double>(),
                   std::exp(-0.75 * std::log(0.75) - 0.25 * std::log(0.25)));
  EXPECT_DOUBLE_EQ(m.participation.item<double>(), 100.0 / 82);
  EXPECT_DOUBLE_EQ(m.positive_share.item<double>(), 0.75);
  EXPECT_TRUE(at::allclose(m.spectral_mass, Vector({0.75, 1.0, 1.0}), 0, 1e-15));
}

TEST(MeasureSpectrum, FlatSpectrumUsesEveryDirection) {
  const SpectrumMeasures m = MeasureSpectrum(Vector({2.0, 2.0, -2.0, -2.0}));
  for (const at::Tensor& measure :
       {m.effective_rank, m.stable_rank, m.entropy_rank, m.participation}) {
    EXPECT_NEAR(measure.item<double>(), 4, 1e-14);
  }
  EXPECT_DOUBLE_EQ(m.positive_share.item<double>(), 0.5);
}

TEST(MeasureSpectrum, DoesNotDependOnScale) {
  const at::Tensor values = Matrix({{3.0, -2.0, 0.5}, {1.0, 0.0, 0.0}});
  const SpectrumMeasures one = MeasureSpectrum(values);
  for (const double scale : {1e-200, 1e200}) {  // squares leave the range of float64
    const SpectrumMeasures scaled = MeasureSpectrum(values * scale);
    EXPECT_TRUE(at::allclose(one.effective_rank, scaled.effective_rank, 1e-14, 0));
    EXPECT_TRUE(at::allclose(one.participation, scaled.participation, 1e-14, 0));
  }
}

TEST(MeasureSpectrum, ZeroSpectrumIsUndefined) {
  const SpectrumMeasures m = MeasureSpectrum(at::zeros({1, 4}, at::kDouble));
  for (const at::Tensor& measure : {m.effective_rank, m.stable_rank, m.entropy_rank,
                                    m.participation, m.positive_share, m.spectral_mass}) {
    EXPECT_TRUE(measure.isnan().all().item<bool>());
  }
}

// The bounds of the first k of a spectrum, given as a row of values.
SpectrumBounds BoundsOf(const at::Tensor& values, int64_t k) {
  const at::Tensor top = values.narrow(-1, 0, k);
  return BoundSpectrum(top, MeasureSpectrum(values).stable_rank, values.size(-1) - k);
}

TEST(BoundSpectrum, HoldsTheMeasuresBetween) {
  // Of each decay, from flat to steep, 20 spectra of 30 values of random signs and sizes.
  for (const double decay : {1.0, 0.95, 0.8, 0.3}) {
    at::Tensor values = RandomNormal({.seed = 3}, {20, 30}) * at::pow(decay, at::arange(30));
    const at::Tensor order = std::get<1>(at::sort(values.abs(), -1, /*descending=*/true));
    values = values.gather(-1, order);
    const SpectrumMeasures exact = MeasureSpectrum(values);
    for (const int64_t k : {1, 5, 30}) {
      const SpectrumBounds bounds = BoundsOf(values, k);
      auto at_most = [](const at::Tensor& a, const at::Tensor& b) {
        return (a <= b * (1 + 1e-12)).all().item<bool>();
      };
      EXPECT_TRUE(at_most(bounds.low.effective_rank, exact.effective_rank)) << decay << " " << k;
      EXPECT_TRUE(at_most(exact.effective_rank, bounds.effective_rank_high)) << decay << " " << k;
      EXPECT_TRUE(at_most(bounds.low.entropy_rank, exact.entropy_rank)) << decay << " " << k;
      EXPECT_TRUE(at_most(bounds.low.participation, exact.participation)) << decay << " " << k;
      EXPECT_TRUE(at_most(bounds.low.spectral_mass, exact.spectral_mass.narrow(-1, 0, k)));
    }
  }
}

TEST(BoundSpectrum, IsExactWhereTheRestIsZero) {
  const at::Tensor values = Matrix({{3.0, -2.0, 0.5, 0.0, 0.0}});
  const SpectrumMeasures exact = MeasureSpectrum(values);
  for (const int64_t k : {3, 4}) {
    const SpectrumBounds bounds = BoundsOf(values, k);
    EXPECT_TRUE(at::allclose(bounds.low.effective_rank, exact.effective_rank, 1e-10, 0));
    // Rounding may hide 2 values of 1e-6 of the largest.
    EXPECT_TRUE(at::allclose(bounds.effective_rank_high, exact.effective_rank, 1e-5, 0));
    EXPECT_TRUE(at::allclose(bounds.low.participation, exact.participation, 1e-10, 0));
  }
  EXPECT_TRUE(
      at::allclose(BoundsOf(values, 5).effective_rank_high, exact.effective_rank, 1e-14, 0));
}

TEST(BoundSpectrum, ZeroSpectrumIsUndefined) {
  const SpectrumBounds bounds = BoundsOf(at::zeros({1, 4}, at::kDouble), 2);
  EXPECT_TRUE(bounds.low.effective_rank.isnan().all().item<bool>());
  EXPECT_TRUE(bounds.effective_rank_high.isnan().all().item<bool>());
}

TEST(EffectiveCount, CountsEntries) {
  const at::Tensor counts = EffectiveCount(Matrix({{1.0, -1.0, 0.0, 1.0}, {0.0, 5.0, 0.0, 0.0}}));
  EXPECT_TRUE(at::allclose(counts, Vector({3.0, 1.0})));
}

}  // namespace
}  // namespace radiograph
