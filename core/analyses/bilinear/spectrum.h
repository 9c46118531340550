// The mathematics of bilinear.spectrum: spectra of all outputs, their null, and what data adds.
// Source: Pearce et al. 2024 (arXiv 2410.08417), sections 3.2 and 4, appendix E.
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_H_

#include <ATen/core/Tensor.h>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/analyses/analysis.h"
#include "core/analyses/bilinear/coordinates.h"
#include "core/analyses/bilinear/explain.h"
#include "core/analyses/bilinear/interaction.h"
#include "core/analyses/bilinear/spectrum_spec.h"

namespace radiograph::bilinear {

// Told the share done; its error (CANCELLED) ends the work.
using Report = absl::FunctionRef<absl::Status(double)>;

inline constexpr int64_t kPixelCounts = 5;

struct Spectra {
  at::Tensor eigenvalues;   // lambda [C, r], or [C, k] of the top-k solver; |lambda| descending
  at::Tensor eigenvectors;  // v over the raw input [C, k, n], signs fixed
  at::Tensor pixel_count;   // effective number of inputs of the first vectors [C, min(5, r)]
  at::Tensor quadratic;     // y^T M_c y of the probes [P, C]
  at::Tensor stable_rank;  // of the whole spectrum, ||M_c||_F^2 / lambda_1^2 [C]; top-k solver only
  double residual_max = 0;
  double orthogonality_max = 0;
};

struct DecomposeOptions {
  int64_t kept = 20;   // vectors of each output: k <= r
  int64_t values = 0;  // eigenvalues of each output: r, or k
  uint64_t seed = 0;
  Explainer* explainer = nullptr;  // told all pairs of the outputs that it wants
};
// The top-k solver never decomposes in full, and where m < r / 2 never forms the matrices, but for
// outputs whose spectrum is too flat for it, and those that are explained.
// `probes` x [P, n] are put through the same matrices that are decomposed: see FidelityError.
absl::StatusOr<Spectra> DecomposeOutputs(const BilinearLayer& layer, const Coordinates& coordinates,
                                         const at::Tensor& probes, const DecomposeOptions& options,
                                         Report report);

// max |x^T E^T Q_c E x + linear + constant - logit_c(x)| / max |logit|: quadratic forms against the
// layer run forward. A check of the arithmetic; it can't see that a model applies a gate which the
// weights don't show.
double FidelityError(const BilinearLayer& layer, const at::Tensor& probes,
                     const at::Tensor& quadratic);

// Largest |lambda| of each output when L and R are rotated in R^d by independent Haar orthogonals,
// which keeps norms and breaks their alignment: [draws, C]. The draws that are done are the job's
// state; each is a function of the seed and its number alone, so it goes on from them.
absl::StatusOr<at::Tensor> NullMaxima(const BilinearLayer& layer, const Coordinates& coordinates,
                                      int64_t draws, Context& context, Report report);

// Over inputs x [N, n] in their stored dtype, anywhere; N >= 1.
struct Contributions {
  at::Tensor mean;              // of lambda_j (v_j . x)^2 [C, k]
  at::Tensor firing_frequency;  // share of samples with |contribution| > kFiring [C, k]
};
inline constexpr double kFiring = 0.01;
absl::StatusOr<Contributions> MeasureContributions(const Spectra& spectra, const at::Tensor& x,
                                                   Report report);
absl::StatusOr<at::Tensor> Logits(const BilinearLayer& layer, const at::Tensor& x,
                                  Report report);  // [N, C]

// |cos| of every kept vector with the mean input of its output's class [C, k]: row c is of the
// class classes[c]. NaN where a class has no samples. labels int64 [N] on the CPU.
absl::StatusOr<at::Tensor> ClassCosines(const Spectra& spectra, const at::Tensor& x,
                                        const at::Tensor& labels, const at::Tensor& classes,
                                        Report report);

// X^T X / N [n, n] in float64 on the layer's device.
absl::StatusOr<at::Tensor> SecondMoment(const BilinearLayer& layer, const at::Tensor& x,
                                        Report report);

// The analysis.
absl::StatusOr<Result> Spectrum(const SpectrumParams& params, const Inputs& inputs,
                                Context& context);

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_H_
