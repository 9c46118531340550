#include "core/architecture/roles.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
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

constexpr size_t kDigitsMax = 9;     // of a layer's number
constexpr size_t kLayersListed = 8;  // in messages

// The number at `*text`'s end, which is taken away; nothing when there is none, or one that no name
// of a table has (007).
std::optional<int64_t> TakeNumber(absl::string_view* text) {
  size_t digits = 0;
  while (digits < text->size() && absl::ascii_isdigit((*text)[text->size() - 1 - digits])) ++digits;
  const absl::string_view number = text->substr(text->size() - digits);
  int64_t value = 0;
  if (digits > kDigitsMax || (digits > 1 && number[0] == '0')) return std::nullopt;
  if (!absl::SimpleAtoi(number, &value)) return std::nullopt;
  text->remove_suffix(digits);
  return value;
}

RoleNames RolesOf(const Scheme& scheme, const std::string& prefix, int64_t layer, bool first,
                  const NameSet& names) {
  RoleNames roles;
  for (const auto& [role, pattern] : scheme.patterns) {
    if (!first && absl::string_view(role) == "embed") continue;
    std::string name =
        absl::StrCat(prefix, absl::StrReplaceAll(pattern, {{"{i}", absl::StrCat(layer)}}));
    if (names.contains(name)) roles.try_emplace(role, std::move(name));
  }
  return roles;
}

bool HasBothSides(const RoleNames& roles) {
  return roles.contains("fused") || (roles.contains("left") && roles.contains("right"));
}

// The layers that a scheme finds behind each prefix: a name is PREFIX + pattern, PREFIX is empty or
// ends with a dot.
std::map<std::string, std::set<int64_t>> LayersByPrefix(const Scheme& scheme,
                                                        const NameSet& names) {
  std::map<std::string, std::set<int64_t>> found;
  for (const auto& [role, pattern] : scheme.patterns) {
    const absl::string_view whole = pattern;
    const size_t at = whole.find("{i}");
    if (at == whole.npos) continue;
    const absl::string_view stem = whole.substr(0, at), end = whole.substr(at + 3);
    for (absl::string_view name : names) {
      if (!absl::ConsumeSuffix(&name, end)) continue;
      const std::optional<int64_t> layer = TakeNumber(&name);
      if (!layer.has_value() || !absl::ConsumeSuffix(&name, stem)) continue;
      if (name.empty() || name.back() == '.') found[std::string(name)].insert(*layer);
    }
  }
  for (auto& [prefix, layers] : found) {
    std::erase_if(layers, [&, &prefix = prefix](int64_t layer) {
      return !HasBothSides(RolesOf(scheme, prefix, layer, /*first=*/false, names));
    });
  }
  std::erase_if(found, [](const auto& entry) { return entry.second.empty(); });
  return found;
}

struct Fit {
  const Scheme* scheme = nullptr;
  std::string prefix;
  std::set<int64_t> layers;
};

// The first scheme that has layers, behind the shortest prefix. Two prefixes of which none begins
// with the other are two models.
absl::StatusOr<std::optional<Fit>> FindFit(const NameSet& names) {
  std::optional<Fit> best;
  std::vector<std::string> prefixes;
  for (const Scheme& scheme : Schemes()) {
    for (auto& [prefix, layers] : LayersByPrefix(scheme, names)) {
      prefixes.push_back(prefix);
      if (best.has_value() && best->prefix.size() <= prefix.size()) continue;
      best = Fit{.scheme = &scheme, .prefix = prefix, .layers = std::move(layers)};
    }
  }
  for (const std::string& prefix : prefixes) {
    if (absl::StartsWith(prefix, best->prefix)) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "bilinear layers are under two prefixes, '", best->prefix, "' and '", prefix,
        "': the file holds several models; the parameter `tensors` maps roles (left, right or "
        "fused, head, ...) to the names that are meant"));
  }
  return best;
}

// Blocks of other kinds count: the first block reads the embedding, whatever its number.
int64_t FirstBlock(const Fit& fit, const NameSet& names) {
  int64_t first = *fit.layers.begin();
  const absl::string_view pattern = fit.scheme->patterns.front().second;
  const std::string stem = absl::StrCat(fit.prefix, pattern.substr(0, pattern.find("{i}")));
  for (auto name = names.lower_bound(stem); name != names.end() && absl::StartsWith(*name, stem);
       ++name) {
    absl::string_view number = *name;
    number.remove_prefix(stem.size());
    number = number.substr(0, number.find('.'));
    const std::optional<int64_t> block = TakeNumber(&number);
    if (block.has_value() && number.empty()) first = std::min(first, *block);
  }
  return first;
}

// That all names share, in whole parts: "_orig_mod.module.". Empty when there is none.
std::string SharedPrefix(const NameSet& names) {
  if (names.empty()) return "";
  const std::string &low = *names.begin(), &high = *names.rbegin();  // ordered: the farthest apart
  size_t shared = 0;
  while (shared < std::min(low.size(), high.size()) && low[shared] == high[shared]) ++shared;
  const size_t dot = low.substr(0, shared).rfind('.');
  return dot == low.npos ? "" : low.substr(0, dot + 1);
}

std::vector<std::string> Listed(const NameSet& names) { return {names.begin(), names.end()}; }

// With whole names; the user may have left out the prefix.
absl::StatusOr<RoleNames> ReadOverrides(const std::map<std::string, std::string>& overrides,
                                        const std::string& prefix, const NameSet& names) {
  RoleNames read;
  for (const auto& [role, name] : overrides) {
    if (std::find(std::begin(kRoles), std::end(kRoles), role) == std::end(kRoles)) {
      return absl::InvalidArgumentError(absl::StrCat("tensors: there is no role '", role,
                                                     "'; roles are ", absl::StrJoin(kRoles, ", ")));
    }
    const std::string whole = names.contains(name) ? name : prefix + name;
    if (!names.contains(whole)) {
      return absl::NotFoundError(
          absl::StrCat("tensors: the model has no tensor '", name, "' (role ", role, ")",
                       NearestText("; nearest names: ", name, Listed(names))));
    }
    read[role] = whole;
  }
  return read;
}

absl::Status NoLayer(const NameSet& names) {
  std::vector<std::string> wanted;
  for (const Scheme& scheme : Schemes()) {
    wanted.push_back(absl::StrReplaceAll(scheme.patterns.front().second, {{"{i}", "0"}}));
  }
  const std::vector<std::string> nearest = NearestNames(wanted.front(), Listed(names));
  return absl::NotFoundError(absl::StrCat(
      "the model has no bilinear layer under a known name (", absl::StrJoin(wanted, ", "), ")",
      nearest.empty() ? "; it has no tensors at all"
                      : absl::StrCat("; nearest names: ", absl::StrJoin(nearest, ", ")),
      "; the parameter `tensors` maps roles (left, right or fused, ...) to names"));
}

absl::Status NoSuchLayer(int64_t layer, const std::vector<int64_t>& layers) {
  const int64_t count = static_cast<int64_t>(layers.size());
  if (layers.back() == count - 1) {
    return absl::InvalidArgumentError(absl::StrCat("layer is ", layer, "; this model allows 0..",
                                                   count - 1, ", or -1 for the last"));
  }
  return absl::InvalidArgumentError(absl::StrCat("layer ", layer, " is not bilinear; ",
                                                 LayersText(layers), count == 1 ? " is" : " are",
                                                 ", and -1 stands for the last"));
}

// A role given by hand replaces what tables say of the same thing in its other form.
void Apply(const RoleNames& overrides, RoleNames& roles) {
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

// Of the scheme's layers, `layer`; `read` gets the names that play a role in any of them.
absl::Status TakeLayer(const Fit& fit, int64_t layer, const NameSet& names, LayerRoles& found,
                       NameSet& read) {
  found.layers = {fit.layers.begin(), fit.layers.end()};
  if (layer != -1 && !fit.layers.contains(layer)) return NoSuchLayer(layer, found.layers);
  found.layer = layer < 0 ? found.layers.back() : layer;
  found.gated = fit.scheme->gated;
  const int64_t first = FirstBlock(fit, names);
  found.names = RolesOf(*fit.scheme, fit.prefix, found.layer, found.layer == first, names);
  for (const int64_t one : found.layers) {
    for (auto& [role, name] : RolesOf(*fit.scheme, fit.prefix, one, one == first, names))
      read.insert(name);
  }
  return absl::OkStatus();
}

absl::Status CheckThere(const RoleNames& roles, absl::Span<const std::string> missing) {
  for (const auto& [role, name] : roles) {
    if (std::find(missing.begin(), missing.end(), name) == missing.end()) continue;
    return absl::NotFoundError(absl::StrCat(
        "the model's index names the tensor '", name, "' (role ", role,
        "), and no file holds it: a shard is missing, or the index belongs to other files"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string LayersText(const std::vector<int64_t>& layers) {
  if (layers.size() <= kLayersListed) return absl::StrJoin(layers, ", ");
  const std::vector<int64_t> first(layers.begin(), layers.begin() + kLayersListed - 1);
  return absl::StrCat(absl::StrJoin(first, ", "), ", ... ", layers.back());
}

absl::StatusOr<LayerRoles> FindLayerRoles(absl::Span<const safetensors::TensorInfo> tensors,
                                          int64_t layer,
                                          const std::map<std::string, std::string>& overrides,
                                          absl::Span<const std::string> missing) {
  NameSet names(missing.begin(), missing.end());
  for (const auto& tensor : tensors) names.insert(tensor.name);
  LayerRoles found;
  absl::StatusOr<std::optional<Fit>> fit = FindFit(names);
  const bool whole =
      overrides.contains("fused") || (overrides.contains("left") && overrides.contains("right"));
  if (!fit.ok() && !whole) return fit.status();
  const bool fits = fit.ok() && fit->has_value();
  found.prefix = fits ? (*fit)->prefix : SharedPrefix(names);
  ASSIGN_OR_RETURN(const RoleNames given, ReadOverrides(overrides, found.prefix, names));
  NameSet read;
  if (fits) {
    RETURN_IF_ERROR(TakeLayer(**fit, layer, names, found, read));
  } else {
    for (const char* role : {"embed", "head"}) {
      if (std::string name = absl::StrCat(found.prefix, role, ".weight"); names.contains(name))
        found.names[role] = name;
    }
  }
  Apply(given, found.names);
  if (!HasBothSides(found.names)) return NoLayer(names);
  RETURN_IF_ERROR(CheckThere(found.names, missing));
  for (const auto& [role, name] : found.names) read.insert(name);
  // Bytes that were read under one of their names were read.
  NameSet stored;
  for (const auto& tensor : tensors) {
    if (read.contains(tensor.name)) stored.insert(StoredName(tensor));
  }
  for (const auto& tensor : tensors) {
    if (!stored.contains(StoredName(tensor))) found.unread.push_back(tensor.name);
  }
  std::sort(found.unread.begin(), found.unread.end());
  for (const char* side : {"left", "right"}) {
    if (found.names.contains(side) && (absl::StrContains(found.names[side], "gate_proj") ||
                                       absl::StrContains(found.names[side], "up_proj"))) {
      found.gated = true;
    }
  }
  return found;
}

absl::StatusOr<LayerRoles> FindFirstLayerRoles(absl::Span<const safetensors::TensorInfo> tensors,
                                               absl::Span<const std::string> missing) {
  ASSIGN_OR_RETURN(LayerRoles last, FindLayerRoles(tensors, -1, {}, missing));
  if (last.layers.size() < 2) return last;
  return FindLayerRoles(tensors, last.layers.front(), {}, missing);
}

}  // namespace radiograph
