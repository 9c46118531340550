// What bilinear.spectrum found, before it is put into words, figures and arrays.
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_FACTS_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_FACTS_H_

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "core/analyses/bilinear/explain.h"
#include "core/analyses/bilinear/spectrum.h"
#include "core/analyses/bilinear/spectrum_spec.h"
#include "core/numerics/spectrum.h"
#include "core/results/result.h"

namespace radiograph::bilinear {

// Tensors are on the context's device.
struct SpectrumFacts {
  SpectrumParams params;
  LayerShapes shapes;
  SpectrumSizes sizes;
  bool directions_given = false;
  std::string assumed;                // what assume_bilinear passed over; empty: nothing
  std::vector<std::string> unheeded;  // what config.json says of the function and is not computed
  bool biases = false;
  std::vector<std::string> names;  // of the outputs analysed

  Spectra spectra;
  SpectrumMeasures measures;       // lower bounds where sizes.top_only(): see BoundSpectrum
  at::Tensor effective_rank_high;  // [C]; undefined where measures are exact
  at::Tensor zero;                 // bool [C]: outputs without any quadratic part
  double fidelity_error = 0;

  at::Tensor linear, constant;                       // undefined with neither biases nor a residual
  at::Tensor null_threshold, p_values, significant;  // [C], [C, k], [C]; undefined without draws
  at::Tensor logits;                                 // [N, C]; undefined without samples
  Contributions contributions;                       // likewise
  at::Tensor class_cosines;        // [C, k]; undefined without labels, or with directions given
  std::optional<double> accuracy;  // absent without labels
  at::Tensor explained_inputs;     // [S, n]
  std::vector<Explanation> explanations;

  // The most positive (sign 1) or negative (-1) eigenvalue of each output [C]; NaN when those known
  // are all of the other sign, and others are not known.
  at::Tensor MostOfSign(int sign) const;
  // Of image_shape: without one there are no pictures.
  bool has_pictures() const { return !params.image_shape.empty(); }
  int64_t height() const { return params.image_shape[params.image_shape.size() - 2]; }
  int64_t width() const { return params.image_shape.back(); }
  // Row-major entries of a vector over the inputs; channels are averaged.
  std::vector<double> PictureOf(const at::Tensor& vector) const;

  // Outputs that a figure or list of at most `count` shows: those with the largest |lambda|, in
  // their order.
  std::vector<int64_t> Foremost(int64_t count) const;
};

std::vector<double> ToDoubles(const at::Tensor& tensor);  // flat
std::string Rounded(double value);                        // 4 significant digits

std::vector<Figure> SpectrumFigures(const SpectrumFacts& facts);
std::vector<Figure> ExplanationFigures(const SpectrumFacts& facts);
std::vector<Finding> SpectrumFindings(const SpectrumFacts& facts);
Result SpectrumResult(const SpectrumFacts& facts);

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_FACTS_H_
