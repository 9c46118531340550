#include "core/architecture/roles.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/architecture/architecture.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

// One way to name tensors: (role, pattern) pairs, {i} for the layer. The first pattern of a role
// that the model has counts.
struct Scheme {
  const char* name;
  bool gated;
  std::vector<std::pair<const char*, const char*>> patterns;
};

const std::vector<Scheme>& Schemes() {
  static const auto* schemes = new std::vector<Scheme>{
      // The image models of Pearce et al. 2024 (tdooms/bilinear-decomposition).
      {"image",
       false,
       {{"fused", "blocks.{i}.weight"},
        {"fused_bias", "blocks.{i}.bias"},
        {"embed", "embed.weight"},
        {"head", "head.weight"},
        {"head_bias", "head.bias"}}},
      // Their language models; a tied head is the token embedding. z is the residual stream: no
      // "embed".
      {"language",
       false,
       {{"fused", "transformer.h.{i}.mlp.w.weight"},
        {"fused_bias", "transformer.h.{i}.mlp.w.bias"},
        {"proj", "transformer.h.{i}.mlp.p.weight"},
        {"proj_bias", "transformer.h.{i}.mlp.p.bias"},
        {"head", "lm_head.weight"},
        {"head", "transformer.wte.weight"}}},
      // Radiograph's own explicit names.
      {"own",
       false,
       {{"left", "blocks.{i}.w_l"},
        {"left", "blocks.{i}.w_l.weight"},
        {"left_bias", "blocks.{i}.w_l.bias"},
        {"right", "blocks.{i}.w_r"},
        {"right", "blocks.{i}.w_r.weight"},
        {"right_bias", "blocks.{i}.w_r.bias"},
        {"proj", "blocks.{i}.proj.weight"},
        {"proj_bias", "blocks.{i}.proj.bias"},
        {"embed", "embed.weight"},
        {"head", "head.weight"},
        {"head_bias", "head.bias"}}},
      // Llama and its like.
      {"gated",
       true,
       {{"left", "model.layers.{i}.mlp.gate_proj.weight"},
        {"left_bias", "model.layers.{i}.mlp.gate_proj.bias"},
        {"right", "model.layers.{i}.mlp.up_proj.weight"},
        {"right_bias", "model.layers.{i}.mlp.up_proj.bias"},
        {"proj", "model.layers.{i}.mlp.down_proj.weight"},
        {"proj_bias", "model.layers.{i}.mlp.down_proj.bias"},
        {"head", "lm_head.weight"},
        {"head", "model.embed_tokens.weight"}}},
  };
  return *schemes;
}

constexpr const char* kRoles[] = {"embed",     "left",       "right",      "fused",
                                  "left_bias", "right_bias", "fused_bias", "proj",
                                  "proj_bias", "head",       "head_bias"};

using NameSet = std::set<std::string>;

RoleNames RolesOf(const Scheme& scheme, int64_t layer, const NameSet& names) {
  RoleNames roles;
  for (const auto& [role, pattern] : scheme.patterns) {
    if (layer > 0 && absl::string_view(role) == "embed") continue;
    std::string name = absl::StrReplaceAll(pattern, {{"{i}", absl::StrCat(layer)}});
    if (names.contains(name)) roles.try_emplace(role, std::move(name));
  }
  return roles;
}

bool HasBothSides(const RoleNames& roles) {
  return roles.contains("fused") || (roles.contains("left") && roles.contains("right"));
}

int64_t CountLayers(const Scheme& scheme, const NameSet& names) {
  int64_t count = 0;
  while (HasBothSides(RolesOf(scheme, count, names))) ++count;
  return count;
}

std::vector<std::string> Listed(const NameSet& names) { return {names.begin(), names.end()}; }

absl::Status CheckOverrides(const std::map<std::string, std::string>& overrides,
                            const NameSet& names) {
  for (const auto& [role, name] : overrides) {
    if (std::find(std::begin(kRoles), std::end(kRoles), role) == std::end(kRoles)) {
      return absl::InvalidArgumentError(absl::StrCat("tensors: there is no role '", role,
                                                     "'; roles are ", absl::StrJoin(kRoles, ", ")));
    }
    if (!names.contains(name)) {
      return absl::NotFoundError(absl::StrCat(
          "tensors: the model has no tensor '", name, "' (role ", role,
          "); nearest names: ", absl::StrJoin(NearestNames(name, Listed(names)), ", ")));
    }
  }
  return absl::OkStatus();
}

absl::Status NoLayer(const NameSet& names) {
  std::vector<std::string> wanted;
  for (const Scheme& scheme : Schemes()) {
    wanted.push_back(absl::StrReplaceAll(scheme.patterns.front().second, {{"{i}", "0"}}));
  }
  return absl::NotFoundError(absl::StrCat(
      "the model has no bilinear layer under a known name (", absl::StrJoin(wanted, ", "),
      "); nearest names: ", absl::StrJoin(NearestNames(wanted.front(), Listed(names)), ", "),
      "; the parameter `tensors` maps roles (left, right or fused, ...) to names"));
}

// A role given by hand replaces what tables say of the same thing in its other form.
void Apply(const std::map<std::string, std::string>& overrides, RoleNames& roles) {
  if (overrides.contains("fused")) {
    for (const char* role : {"left", "right"}) roles.erase(role);
  }
  if (overrides.contains("left") || overrides.contains("right")) roles.erase("fused");
  if (overrides.contains("fused_bias")) {
    for (const char* role : {"left_bias", "right_bias"}) roles.erase(role);
  }
  if (overrides.contains("left_bias") || overrides.contains("right_bias"))
    roles.erase("fused_bias");
  for (const auto& [role, name] : overrides) roles[role] = name;
}

}  // namespace

absl::StatusOr<LayerRoles> FindLayerRoles(absl::Span<const safetensors::TensorInfo> tensors,
                                          int64_t layer,
                                          const std::map<std::string, std::string>& overrides) {
  NameSet names;
  for (const auto& tensor : tensors) names.insert(tensor.name);
  RETURN_IF_ERROR(CheckOverrides(overrides, names));
  LayerRoles found;
  NameSet unread = names;
  for (const Scheme& scheme : Schemes()) {
    found.n_layers = CountLayers(scheme, names);
    if (found.n_layers == 0) continue;
    if (layer < -1 || layer >= found.n_layers) {
      return absl::InvalidArgumentError(absl::StrCat("layer is ", layer, "; this model allows 0..",
                                                     found.n_layers - 1, ", or -1 for the last"));
    }
    found.layer = layer < 0 ? found.n_layers - 1 : layer;
    found.gated = scheme.gated;
    found.names = RolesOf(scheme, found.layer, names);
    for (int64_t i = 0; i < found.n_layers; ++i) {
      for (const auto& [role, name] : RolesOf(scheme, i, names)) unread.erase(name);
    }
    break;
  }
  if (found.n_layers == 0) {
    for (const char* role : {"embed", "head"}) {
      if (std::string name = absl::StrCat(role, ".weight"); names.contains(name))
        found.names[role] = name;
    }
  }
  Apply(overrides, found.names);
  if (!HasBothSides(found.names)) return NoLayer(names);
  for (const auto& [role, name] : found.names) unread.erase(name);
  found.unread = Listed(unread);
  for (const char* side : {"left", "right"}) {
    if (found.names.contains(side) && (absl::StrContains(found.names[side], "gate_proj") ||
                                       absl::StrContains(found.names[side], "up_proj"))) {
      found.gated = true;
    }
  }
  return found;
}

}  // namespace radiograph
