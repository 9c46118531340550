#include "core/architecture/architecture.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/architecture/config.h"
#include "core/architecture/roles.h"
#include "core/base/json.h"

namespace radiograph {
namespace {

using safetensors::TensorInfo;

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
  std::map<std::string, int64_t> config = {{"n_layers", static_cast<int64_t>(first.layers.size())}};
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

// What config.json declares and the tensors don't show.
void CompareWithTensors(const Config& config, const LayerRoles& roles, Architecture& architecture) {
  const bool biases = std::any_of(roles.names.begin(), roles.names.end(), [](const auto& role) {
    return absl::EndsWith(role.first, "_bias");
  });
  if (config.bias.has_value() && *config.bias != biases) {
    architecture.unheeded.push_back(*config.bias ? "bias = true, but no bias is under a known name"
                                                 : "bias = false, but the file holds biases");
  }
  const int64_t count = static_cast<int64_t>(roles.layers.size());
  if (config.n_layers.has_value() && *config.n_layers != count &&
      *config.n_layers != roles.layers.back() + 1) {
    architecture.unheeded.push_back(absl::StrCat("the number of layers, ", *config.n_layers,
                                                 "; the file holds ", count, " bilinear ones"));
  }
}

void AddNotes(const LayerRoles& roles, std::vector<std::string>& notes) {
  if (!roles.prefix.empty()) {
    notes.push_back(absl::StrCat("The prefix ", JsonExcerpt(roles.prefix),
                                 " before the names of its tensors is passed over."));
  }
  const int64_t count = static_cast<int64_t>(roles.layers.size());
  if (count > 0 && roles.layers.back() != count - 1) {
    notes.push_back(absl::StrCat("Of its blocks ", LayersText(roles.layers),
                                 count == 1 ? " is" : " are", " bilinear."));
  }
}

}  // namespace

ResolvedArchitecture ResolveArchitecture(absl::Span<const TensorInfo> tensors,
                                         absl::string_view config_json,
                                         absl::Span<const std::string> missing) {
  ResolvedArchitecture resolved;
  Architecture& architecture = resolved.architecture;
  Config config;
  if (!config_json.empty()) {
    absl::StatusOr<Config> read = ReadConfig(config_json);
    if (read.ok()) {
      config = *std::move(read);
    } else {
      config.unheeded.push_back(
          absl::StrCat("config.json itself, which was not understood: ", read.status().message()));
    }
  }
  architecture.activation = config.activation;
  architecture.says_not_bilinear = config.says_not_bilinear;
  architecture.residual = config.residual;
  architecture.unheeded = config.unheeded;
  const absl::StatusOr<LayerRoles> first = FindFirstLayerRoles(tensors, missing);
  if (first.ok()) {
    architecture.config = ConfigOf(tensors, *first);
    CompareWithTensors(config, *first, architecture);
    AddNotes(*first, resolved.notes);
  }
  if (NamesAGate(tensors)) {
    architecture.family = "gated";
  } else if (first.ok()) {
    architecture.family = "bilinear";
  }
  if (!architecture.unheeded.empty()) {
    resolved.notes.push_back(
        absl::StrCat("What config.json says of the function and no analysis heeds: ",
                     absl::StrJoin(architecture.unheeded, "; "), "."));
  }
  return resolved;
}

Json Architecture::ToJson() const {
  Json json = {{"activation", activation}, {"config", Json(config)}, {"family", family}};
  if (says_not_bilinear) json["says_not_bilinear"] = true;
  if (residual) json["residual"] = true;
  if (!unheeded.empty()) json["unheeded"] = unheeded;
  return json;
}

absl::StatusOr<Architecture> Architecture::FromJson(const Json& json) {
  Architecture architecture;
  try {
    architecture.activation = json.value("activation", "");
    architecture.family = json.value("family", "unknown");
    architecture.config = json.value("config", std::map<std::string, int64_t>());
    architecture.says_not_bilinear = json.value("says_not_bilinear", false);
    architecture.residual = json.value("residual", false);
    architecture.unheeded = json.value("unheeded", std::vector<std::string>());
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("an architecture is an object of `family`, `activation` (strings), `config` "
                     "(integers), `residual`, `says_not_bilinear` (booleans) and `unheeded` "
                     "(strings): ",
                     error.what()));
  }
  return architecture;
}

}  // namespace radiograph
