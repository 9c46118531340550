#include "core/analyses/bilinear/evaluation_data.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/tensor/tensors.h"

namespace radiograph::bilinear {
namespace {

absl::Status CheckRows(const at::Tensor& inputs) {
  const absl::Status finite = CheckFinite("inputs", inputs);
  if (finite.ok()) return finite;
  const at::Tensor bad = at::isfinite(inputs).all(1).logical_not();
  return absl::InvalidArgumentError(absl::StrCat(
      "data, row ", bad.to(at::kByte).argmax().item<int64_t>(), ": ", finite.message()));
}

// Class numbers may come as 3.0, never as 0.7.
absl::Status CheckWhole(const at::Tensor& labels) {
  if (!labels.is_floating_point()) return absl::OkStatus();
  const at::Tensor wrong = labels.round().ne(labels);  // NaN, too; infinity is out of range
  if (!wrong.any().item<bool>()) return absl::OkStatus();
  const int64_t row = wrong.to(at::kByte).argmax().item<int64_t>();
  return absl::InvalidArgumentError(absl::StrCat("data, row ", row, ": the label is ",
                                                 labels[row].item<double>(),
                                                 "; labels are class numbers"));
}

absl::Status CheckLabels(const at::Tensor& labels, int64_t outputs) {
  const at::Tensor wrong = at::logical_or(labels < 0, labels >= outputs);
  if (!wrong.any().item<bool>()) return absl::OkStatus();
  const int64_t row = wrong.to(at::kByte).argmax().item<int64_t>();
  return absl::OutOfRangeError(absl::StrCat("data, row ", row, ": the label is ",
                                            labels[row].item<int64_t>(), "; 0..", outputs - 1,
                                            " is allowed"));
}

}  // namespace

absl::StatusOr<EvaluationData> ReadEvaluationData(const Inputs& inputs, const LayerShapes& shapes) {
  EvaluationData data;
  const Artifact* artifact = inputs.Find("data");
  if (artifact == nullptr) return data;
  ASSIGN_OR_RETURN(data.inputs, artifact->Tensor(artifact->header.Role("inputs")->name));
  data.inputs = data.inputs.reshape({data.inputs.size(0), shapes.inputs});
  RETURN_IF_ERROR(CheckRows(data.inputs));
  if (const auto* labels = artifact->header.Role("labels")) {
    ASSIGN_OR_RETURN(const at::Tensor stored, artifact->Tensor(labels->name));
    RETURN_IF_ERROR(CheckWhole(stored));
    data.labels = stored.to(at::kLong);
    RETURN_IF_ERROR(CheckLabels(data.labels, shapes.outputs));
  }
  return data;
}

}  // namespace radiograph::bilinear
