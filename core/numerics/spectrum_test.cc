#include "core/numerics/spectrum.h"

#include <cmath>

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

TEST(EffectiveCount, CountsEntries) {
  const at::Tensor counts = EffectiveCount(Matrix({{1.0, -1.0, 0.0, 1.0}, {0.0, 5.0, 0.0, 0.0}}));
  EXPECT_TRUE(at::allclose(counts, Vector({3.0, 1.0})));
}

}  // namespace
}  // namespace radiograph
