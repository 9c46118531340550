// How many directions a spectrum really uses.
#ifndef RADIOGRAPH_CORE_NUMERICS_SPECTRUM_H_
#define RADIOGRAPH_CORE_NUMERICS_SPECTRUM_H_

#include <ATen/core/Tensor.h>

namespace radiograph {

// Of spectra lambda [..., r], zeros included, by |lambda| descending. With a = |lambda|, q = a /
// sum a:
//   effective_rank  (sum a)^2 / sum a^2, in [1, rank]      Source: Pearce et al. 2024, appendix E
//   stable_rank     sum a^2 / max a^2
//   entropy_rank    exp(-sum q ln q)
//   participation   (sum a^2)^2 / sum a^4
//   positive_share  sum of the positive lambda / sum a
//   spectral_mass   F(k) = sum of the first k of a / sum a, [..., r]
// All are NaN where the whole spectrum is zero. float64.
struct SpectrumMeasures {
  at::Tensor effective_rank, stable_rank, entropy_rank, participation, positive_share,
      spectral_mass;
};
SpectrumMeasures MeasureSpectrum(const at::Tensor& values);

// Bounds of the same from less than the spectrum: its k largest |lambda| (values [..., k], by
// |lambda| descending), its stable rank [...], and how many more lambda may not be zero (`rest`).
// stable_rank is exact; the others are lower bounds, spectral_mass [..., k]; positive_share is
// undefined. With t the sum of a^2 of the rest, whose a are at most a_k, their sum of a lies
// between max(sqrt t, t / a_k) and min(sqrt(rest t), rest a_k). The entropy rank is at least the
// effective rank: Renyi entropies fall with their order.
struct SpectrumBounds {
  SpectrumMeasures low;
  at::Tensor effective_rank_high;
};
SpectrumBounds BoundSpectrum(const at::Tensor& values, const at::Tensor& stable_rank, int64_t rest);

// (||v||_1 / ||v||_2)^2 of vectors v [..., n]: how many entries they effectively use. NaN for zero.
at::Tensor EffectiveCount(const at::Tensor& vectors);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_NUMERICS_SPECTRUM_H_
