#include "core/analyses/bilinear/interaction.h"

#include "core/base/status_macros.h"
#include "core/tensor/tensors.h"

namespace radiograph::bilinear {
namespace {

// Reads tensors by role, checked and converted.
class Reader {
 public:
  Reader(const Artifact& model, const LayerShapes& shapes, const ReadOptions& options)
      : model_(model), roles_(shapes.roles.names), options_(options) {}

  // Undefined when the layer lacks the role.
  absl::StatusOr<at::Tensor> Role(const char* role) const {
    const auto name = roles_.find(role);
    if (name == roles_.end()) return at::Tensor();
    return Read(model_, name->second);
  }

  absl::StatusOr<at::Tensor> Read(const Artifact& artifact, const std::string& name) const {
    ASSIGN_OR_RETURN(const at::Tensor stored, artifact.Tensor(name));
    RETURN_IF_ERROR(CheckFinite(name, stored));
    return stored.to(options_.device, options_.dtype);
  }

  at::TensorOptions tensor_options() const {
    return at::dtype(options_.dtype).device(options_.device);
  }

 private:
  const Artifact& model_;
  const RoleNames& roles_;
  const ReadOptions& options_;
};

absl::Status ReadSides(const Reader& reader, BilinearLayer& layer) {
  ASSIGN_OR_RETURN(const at::Tensor fused, reader.Role("fused"));
  if (fused.defined()) {
    const int64_t hidden = fused.size(0) / 2;
    layer.left = fused.narrow(0, 0, hidden);
    layer.right = fused.narrow(0, hidden, hidden);
  } else {
    ASSIGN_OR_RETURN(layer.left, reader.Role("left"));
    ASSIGN_OR_RETURN(layer.right, reader.Role("right"));
  }
  const int64_t hidden = layer.left.size(0);
  ASSIGN_OR_RETURN(const at::Tensor fused_bias, reader.Role("fused_bias"));
  if (fused_bias.defined()) {
    layer.left_bias = fused_bias.narrow(0, 0, hidden);
    layer.right_bias = fused_bias.narrow(0, hidden, hidden);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(layer.left_bias, reader.Role("left_bias"));
  ASSIGN_OR_RETURN(layer.right_bias, reader.Role("right_bias"));
  if (layer.left_bias.defined() == layer.right_bias.defined()) return absl::OkStatus();
  at::Tensor& missing = layer.left_bias.defined() ? layer.right_bias : layer.left_bias;
  missing = at::zeros({hidden}, reader.tensor_options());
  return absl::OkStatus();
}

// What is read of every output: its direction U, and its own bias.
struct Head {
  at::Tensor rows;  // [C, d_out]
  at::Tensor bias;  // [C]
};

absl::StatusOr<Head> ReadHead(const Reader& reader, const Artifact* directions,
                              const ReadOptions& options) {
  Head head;
  if (directions != nullptr) {
    ASSIGN_OR_RETURN(head.rows,
                     reader.Read(*directions, directions->header.Role("directions")->name));
  } else {
    ASSIGN_OR_RETURN(head.rows, reader.Role("head"));
    ASSIGN_OR_RETURN(head.bias, reader.Role("head_bias"));
  }
  if (!head.bias.defined()) head.bias = at::zeros({head.rows.size(0)}, head.rows.options());
  const Head all = head;
  if (!options.rows.empty()) {
    const at::Tensor kept = at::tensor(options.rows, at::kLong).to(options.device);
    head = {all.rows.index_select(0, kept), all.bias.index_select(0, kept)};
  }
  if (options.centre) head = {head.rows - all.rows.mean(0), head.bias - all.bias.mean()};
  return head;
}

}  // namespace

absl::StatusOr<BilinearLayer> ReadLayer(const Artifact& model, const Artifact* directions,
                                        const LayerShapes& shapes, const ReadOptions& options) {
  const Reader reader(model, shapes, options);
  BilinearLayer layer;
  RETURN_IF_ERROR(ReadSides(reader, layer));
  ASSIGN_OR_RETURN(layer.embed, reader.Role("embed"));
  ASSIGN_OR_RETURN(const Head head, ReadHead(reader, directions, options));
  ASSIGN_OR_RETURN(const at::Tensor proj, reader.Role("proj"));
  ASSIGN_OR_RETURN(const at::Tensor proj_bias, reader.Role("proj_bias"));
  layer.directions = proj.defined() ? at::matmul(head.rows, proj) : head.rows;
  if (shapes.residual) layer.skip = head.rows;
  layer.constant = proj_bias.defined() ? head.bias + at::mv(head.rows, proj_bias) : head.bias;
  return layer;
}

at::Tensor Interaction(const at::Tensor& directions, const at::Tensor& left,
                       const at::Tensor& right) {
  // Rows of L scaled by A, then one product a matrix: [C, r, m] x [m, r].
  const at::Tensor q = at::matmul(((directions / 2).unsqueeze(-1) * left).mT(), right);
  return q + q.mT();
}

at::Tensor InteractionTimes(const at::Tensor& directions, const at::Tensor& left,
                            const at::Tensor& right, const at::Tensor& x) {
  const at::Tensor half = (directions / 2).unsqueeze(-1);
  return at::matmul(left.t(), half * at::matmul(right, x)) +
         at::matmul(right.t(), half * at::matmul(left, x));
}

at::Tensor InteractionSquares(const at::Tensor& directions, const at::Tensor& left,
                              const at::Tensor& right) {
  const at::Tensor cross = at::matmul(left, right.t());
  const at::Tensor gram = at::matmul(left, left.t()).mul_(at::matmul(right, right.t()));
  return (at::matmul(directions, gram.addcmul_(cross, cross.t())) * directions).sum(-1) / 2;
}

at::Tensor LinearPart(const BilinearLayer& layer) {
  at::Tensor linear =
      layer.skip.defined()
          ? layer.skip
          : at::zeros({layer.directions.size(0), layer.left.size(1)}, layer.left.options());
  if (!layer.has_biases()) return linear;
  return linear + at::matmul(layer.directions * layer.right_bias, layer.left) +
         at::matmul(layer.directions * layer.left_bias, layer.right);
}

at::Tensor ConstantPart(const BilinearLayer& layer) {
  if (!layer.has_biases()) return layer.constant;
  return layer.constant + at::mv(layer.directions, layer.left_bias * layer.right_bias);
}

at::Tensor Embed(const BilinearLayer& layer, const at::Tensor& x) {
  return layer.embed.defined() ? at::matmul(x, layer.embed.t()) : x;
}

at::Tensor Outputs(const BilinearLayer& layer, const at::Tensor& x) {
  const at::Tensor z = Embed(layer, x);
  at::Tensor left = at::matmul(z, layer.left.t());
  at::Tensor right = at::matmul(z, layer.right.t());
  if (layer.has_biases()) {
    left = left + layer.left_bias;
    right = right + layer.right_bias;
  }
  const at::Tensor outputs = at::matmul(left * right, layer.directions.t()) + layer.constant;
  return layer.skip.defined() ? outputs + at::matmul(z, layer.skip.t()) : outputs;
}

}  // namespace radiograph::bilinear
