#include "core/analyses/bilinear/layer_shapes.h"

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/nearest_names.h"
#include "core/base/status_macros.h"

namespace radiograph::bilinear {
namespace {

using safetensors::DType;
using safetensors::TensorInfo;

std::string Described(const TensorInfo& tensor) {
  return absl::StrCat("'", tensor.name, "' ", safetensors::ShapeText(tensor.shape));
}

absl::Status CheckFloat(const TensorInfo& tensor) {
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    if (tensor.dtype == dtype) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "tensor ", Described(tensor), " is ", safetensors::DTypeName(tensor),
      "; F64, F32, F16 and BF16 are read: convert it to one of these and save it again"));
}

absl::Status CheckMatrix(const TensorInfo& tensor) {
  RETURN_IF_ERROR(CheckFloat(tensor));
  if (tensor.shape.size() == 2 && tensor.shape[0] > 0 && tensor.shape[1] > 0)
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("tensor ", Described(tensor), " must be a matrix that isn't empty"));
}

absl::Status Mismatch(const TensorInfo& tensor, absl::string_view what, int64_t wanted,
                      const TensorInfo& other) {
  return absl::InvalidArgumentError(absl::StrCat("tensor ", Described(tensor), " must have ",
                                                 wanted, " ", what, " to fit ", Described(other)));
}

// Null when the layer lacks the role. The name is there: FindLayerRoles looked it up.
const TensorInfo* Find(const ArtifactHeader& model, const LayerRoles& roles, const char* role) {
  const auto name = roles.names.find(role);
  return name == roles.names.end() ? nullptr : model.Find(name->second);
}

absl::Status RefuseGated(const Architecture& architecture, const LayerRoles* roles) {
  const bool gated = architecture.family == "gated" || (roles != nullptr && roles->gated);
  if (!gated && architecture.activation.empty() && !architecture.says_not_bilinear) {
    return absl::OkStatus();
  }
  const std::string why = architecture.says_not_bilinear
                              ? "its config.json says \"bilinear\": false"
                          : architecture.activation.empty()
                              ? "its tensor names are those of a gated MLP (gate_proj, up_proj)"
                              : absl::StrCat("its config.json declares the activation ",
                                             JsonExcerpt(architecture.activation));
  return absl::FailedPreconditionError(absl::StrCat(
      "the model is not bilinear: ", why,
      "; assume_bilinear=true leaves that function out and describes the model without it"));
}

absl::Status ReadSides(const ArtifactHeader& model, LayerShapes& shapes) {
  if (const TensorInfo* fused = Find(model, shapes.roles, "fused")) {
    RETURN_IF_ERROR(CheckMatrix(*fused));
    if (fused->shape[0] % 2 != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", Described(*fused), " has an odd number of rows; L and R take half each"));
    }
    shapes.hidden = fused->shape[0] / 2;
    shapes.width = fused->shape[1];
    return absl::OkStatus();
  }
  const TensorInfo& left = *Find(model, shapes.roles, "left");
  const TensorInfo& right = *Find(model, shapes.roles, "right");
  RETURN_IF_ERROR(CheckMatrix(left));
  RETURN_IF_ERROR(CheckMatrix(right));
  if (left.shape != right.shape) {
    return absl::InvalidArgumentError(absl::StrCat("left ", Described(left), " and right ",
                                                   Described(right), " must have one shape"));
  }
  shapes.hidden = left.shape[0];
  shapes.width = left.shape[1];
  return absl::OkStatus();
}

absl::Status CheckBias(const ArtifactHeader& model, const LayerShapes& shapes, const char* role,
                       int64_t size) {
  const TensorInfo* bias = Find(model, shapes.roles, role);
  if (bias == nullptr) return absl::OkStatus();
  RETURN_IF_ERROR(CheckFloat(*bias));
  if (bias->shape == std::vector<int64_t>{size}) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("tensor ", Described(*bias), " (role ", role,
                                                 ") must have the shape [", size, "]"));
}

// Reads the shapes around the layer: embed before it, proj after it.
absl::Status ReadSurroundings(const ArtifactHeader& model, LayerShapes& shapes) {
  const TensorInfo* side = Find(model, shapes.roles, "fused");
  if (side == nullptr) side = Find(model, shapes.roles, "left");
  shapes.inputs = shapes.width;
  if (const TensorInfo* embed = Find(model, shapes.roles, "embed")) {
    RETURN_IF_ERROR(CheckMatrix(*embed));
    if (embed->shape[0] != shapes.width) return Mismatch(*embed, "rows", shapes.width, *side);
    shapes.inputs = embed->shape[1];
  }
  shapes.written = shapes.hidden;
  if (const TensorInfo* proj = Find(model, shapes.roles, "proj")) {
    RETURN_IF_ERROR(CheckMatrix(*proj));
    if (proj->shape[1] != shapes.hidden) return Mismatch(*proj, "columns", shapes.hidden, *side);
    shapes.written = proj->shape[0];
  }
  return absl::OkStatus();
}

absl::Status ReadDirections(const ArtifactHeader& model, const ArtifactHeader* directions,
                            LayerShapes& shapes) {
  const TensorInfo* rows = Find(model, shapes.roles, "head");
  if (directions != nullptr) {
    rows = directions->Role("directions");
    if (rows == nullptr) {
      return absl::NotFoundError(
          "the input directions has no tensor 'directions' [outputs, written]");
    }
  }
  if (rows == nullptr) {
    std::vector<std::string> names;
    for (const TensorInfo& tensor : model.tensors) names.push_back(tensor.name);
    return absl::FailedPreconditionError(absl::StrCat(
        "the model has no head, and no input directions is given: nothing says which outputs to "
        "look at; a head is head.weight or lm_head.weight",
        NearestText("; nearest names: ", "head.weight", names),
        "; the parameter `tensors` maps roles (head, ...) to names"));
  }
  RETURN_IF_ERROR(CheckMatrix(*rows));
  if (rows->shape[1] != shapes.written) {
    const TensorInfo* writer = Find(model, shapes.roles, "proj");
    if (writer == nullptr) writer = Find(model, shapes.roles, "fused");
    if (writer == nullptr) writer = Find(model, shapes.roles, "left");
    return Mismatch(*rows, "columns", shapes.written, *writer);
  }
  shapes.outputs = rows->shape[0];
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LayerShapes> ReadLayerShapes(const ArtifactHeader& model,
                                            const ArtifactHeader* directions,
                                            const LayerRequest& request) {
  LayerShapes shapes;
  if (!request.assume_bilinear) RETURN_IF_ERROR(RefuseGated(model.architecture, nullptr));
  ASSIGN_OR_RETURN(shapes.roles,
                   FindLayerRoles(model.tensors, request.layer, request.tensors, model.missing));
  if (!request.assume_bilinear) RETURN_IF_ERROR(RefuseGated(model.architecture, &shapes.roles));
  RETURN_IF_ERROR(ReadSides(model, shapes));
  RETURN_IF_ERROR(ReadSurroundings(model, shapes));
  RETURN_IF_ERROR(ReadDirections(model, directions, shapes));
  RETURN_IF_ERROR(CheckBias(model, shapes, "fused_bias", 2 * shapes.hidden));
  RETURN_IF_ERROR(CheckBias(model, shapes, "left_bias", shapes.hidden));
  RETURN_IF_ERROR(CheckBias(model, shapes, "right_bias", shapes.hidden));
  RETURN_IF_ERROR(CheckBias(model, shapes, "proj_bias", shapes.written));
  if (directions == nullptr) RETURN_IF_ERROR(CheckBias(model, shapes, "head_bias", shapes.outputs));
  shapes.residual = model.architecture.residual;
  if (shapes.residual && shapes.written != shapes.width) {
    return absl::InvalidArgumentError(absl::StrCat(
        "config.json declares a residual block, which adds what it reads to what it writes; layer ",
        shapes.roles.layer, " reads ", shapes.width, " numbers and writes ", shapes.written));
  }
  return shapes;
}

}  // namespace radiograph::bilinear
