#include "core/architecture/architecture.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/architecture/roles.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

using safetensors::TensorInfo;

// Where config.json files keep the function inside the MLP.
constexpr const char* kActivationKeys[] = {
    "hidden_act", "hidden_activation", "activation_function", "activation", "act_fn", "gate"};
// Values that mean there is none.
constexpr const char* kNoActivation[] = {"", "none", "identity", "linear", "bilinear"};

absl::StatusOr<std::string> ReadActivation(absl::string_view config_json) {
  if (config_json.empty()) return std::string();
  absl::StatusOr<Json> config = ParseJson(config_json);
  if (!config.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("config.json: ", config.status().message()));
  }
  if (!config->is_object()) {
    return absl::InvalidArgumentError("config.json must hold a JSON object");
  }
  for (const char* key : kActivationKeys) {
    const auto found = config->find(key);
    if (found == config->end() || !found->is_string()) continue;
    std::string activation = absl::AsciiStrToLower(found->get<std::string>());
    for (const char* none : kNoActivation) {
      if (activation == none) activation.clear();
    }
    return activation;
  }
  return std::string();
}

// Null when the model lacks the role, or keeps it in another rank than 2.
const TensorInfo* Matrix(absl::Span<const TensorInfo> tensors, const RoleNames& roles,
                         const char* role) {
  const auto name = roles.find(role);
  if (name == roles.end()) return nullptr;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name == name->second) return tensor.shape.size() == 2 ? &tensor : nullptr;
  }
  return nullptr;
}

std::map<std::string, int64_t> ConfigOf(absl::Span<const TensorInfo> tensors,
                                        const LayerRoles& first) {
  std::map<std::string, int64_t> config = {{"n_layers", first.n_layers}};
  const TensorInfo* fused = Matrix(tensors, first.names, "fused");
  const TensorInfo* left = fused != nullptr ? fused : Matrix(tensors, first.names, "left");
  if (left != nullptr) {
    config["d_hidden"] = fused != nullptr ? left->shape[0] / 2 : left->shape[0];
    config["d_model"] = left->shape[1];
    config["d_input"] = left->shape[1];
  }
  if (const TensorInfo* embed = Matrix(tensors, first.names, "embed"))
    config["d_input"] = embed->shape[1];
  if (const TensorInfo* head = Matrix(tensors, first.names, "head"))
    config["d_output"] = head->shape[0];
  return config;
}

bool NamesAGate(absl::Span<const TensorInfo> tensors) {
  for (const TensorInfo& tensor : tensors) {
    if (absl::StrContains(tensor.name, "gate_proj") || absl::StrContains(tensor.name, "up_proj"))
      return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<Architecture> ResolveArchitecture(absl::Span<const TensorInfo> tensors,
                                                 absl::string_view config_json) {
  Architecture architecture;
  ASSIGN_OR_RETURN(architecture.activation, ReadActivation(config_json));
  const absl::StatusOr<LayerRoles> first = FindLayerRoles(tensors, 0, {});
  if (first.ok()) architecture.config = ConfigOf(tensors, *first);
  if (NamesAGate(tensors)) {
    architecture.family = "gated";
  } else if (first.ok()) {
    architecture.family = "bilinear";
  }
  return architecture;
}

Json Architecture::ToJson() const {
  return {{"activation", activation}, {"config", Json(config)}, {"family", family}};
}

absl::StatusOr<Architecture> Architecture::FromJson(const Json& json) {
  const absl::Status wrong = absl::InvalidArgumentError(
      "an architecture is an object of `activation` (string), `config` (integers) and `family` "
      "(string)");
  if (!json.is_object() || json.size() != 3 || !json.contains("activation") ||
      !json.contains("config") || !json.contains("family") || !json["activation"].is_string() ||
      !json["family"].is_string() || !json["config"].is_object()) {
    return wrong;
  }
  Architecture architecture;
  architecture.activation = json["activation"].get<std::string>();
  architecture.family = json["family"].get<std::string>();
  for (const auto& [key, value] : json["config"].items()) {
    if (!value.is_number_integer()) return wrong;
    architecture.config[key] = value.get<int64_t>();
  }
  return architecture;
}

}  // namespace radiograph
