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

// (||v||_1 / ||v||_2)^2 of vectors v [..., n]: how many entries they effectively use. NaN for zero.
at::Tensor EffectiveCount(const at::Tensor& vectors);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_NUMERICS_SPECTRUM_H_
