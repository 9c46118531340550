// The input `data` of the bilinear analyses: samples and, where known, their labels.
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_EVALUATION_DATA_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_EVALUATION_DATA_H_

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "core/analyses/analysis.h"
#include "core/analyses/bilinear/layer_shapes.h"

namespace radiograph::bilinear {

// On the CPU.
struct EvaluationData {
  at::Tensor inputs;  // [N, n] as stored; undefined without data
  at::Tensor labels;  // int64 [N]; undefined without labels

  bool any() const { return inputs.defined() && inputs.size(0) > 0; }
};

// Without the input, nothing. INVALID_ARGUMENT naming the row for numbers that aren't finite,
// OUT_OF_RANGE for labels that are no output.
absl::StatusOr<EvaluationData> ReadEvaluationData(const Inputs& inputs, const LayerShapes& shapes);

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_EVALUATION_DATA_H_
