#include "core/numerics/spectrum.h"

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

at::Tensor EffectiveCount(const at::Tensor& vectors) {
  return vectors.abs().sum(-1).square() / vectors.square().sum(-1);
}

}  // namespace radiograph
