#include "core/numerics/spectrum.h"

#include <cmath>

namespace radiograph {

SpectrumMeasures MeasureSpectrum(const at::Tensor& values) {
  const at::Tensor lambda = values.to(at::kDouble);
  // The measures don't depend on scale; with the largest at 1 no square or fourth power under- or
  // overflows. 0 / 0 makes the NaN of a zero spectrum.
  const at::Tensor a = lambda.abs() / lambda.abs().amax(-1, /*keepdim=*/true);
  const at::Tensor total = a.sum(-1);
  const at::Tensor squares = a.square().sum(-1);
  const at::Tensor q = a / total.unsqueeze(-1);
  return {.effective_rank = total.square() / squares,
          .stable_rank = squares,
          .entropy_rank = at::exp(-at::xlogy(q, q).sum(-1)),
          .participation = squares.square() / a.pow(4).sum(-1),
          .positive_share = at::where(lambda > 0, a, at::zeros_like(a)).sum(-1) / total,
          .spectral_mass = a.cumsum(-1) / total.unsqueeze(-1)};
}

SpectrumBounds BoundSpectrum(const at::Tensor& values, const at::Tensor& stable_rank,
                             int64_t rest) {
  // How far the sum of squares may be off by rounding, relative.
  const double rounding = values.scalar_type() == at::kDouble ? 1e-12 : 1e-5;
  const at::Tensor lambda = values.to(at::kDouble).abs();
  const at::Tensor a = lambda / lambda.amax(-1, /*keepdim=*/true);
  const at::Tensor squares = stable_rank.to(at::kDouble);
  const at::Tensor top = a.sum(-1), least = a.select(-1, a.size(-1) - 1);
  const at::Tensor tail = squares - a.square().sum(-1);
  const at::Tensor tail_low = (tail - rounding * squares).clamp_min(0);
  const at::Tensor tail_high = (tail + rounding * squares).clamp_min(0);
  const at::Tensor divisor = at::where(least > 0, least, at::full_like(least, INFINITY));
  const at::Tensor low = top + at::maximum(tail_low.sqrt(), tail_low / divisor);
  const at::Tensor high = at::maximum(
      low, top + at::minimum((static_cast<double>(rest) * tail_high).sqrt(), rest * least));
  const at::Tensor effective = low.square() / squares;
  const at::Tensor fourths = a.pow(4).sum(-1) + tail_high * least.square();
  return {.low = {.effective_rank = effective,
                  .stable_rank = squares,
                  .entropy_rank = effective,
                  .participation = squares.square() / fourths,
                  .positive_share = {},
                  .spectral_mass = a.cumsum(-1) / high.unsqueeze(-1)},
          .effective_rank_high = high.square() / squares};
}

at::Tensor EffectiveCount(const at::Tensor& vectors) {
  return vectors.abs().sum(-1).square() / vectors.square().sum(-1);
}

}  // namespace radiograph
