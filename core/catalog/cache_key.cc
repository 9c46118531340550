#include "core/catalog/cache_key.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {

absl::StatusOr<std::string> InputDigest(std::vector<NamedBlob> files,
                                        const std::map<std::string, std::string>& roles) {
  std::sort(files.begin(), files.end(),
            [](const NamedBlob& a, const NamedBlob& b) { return a.name < b.name; });
  Json json = {{"files", Json::array()}};
  for (size_t i = 0; i < files.size(); ++i) {
    if (i > 0 && files[i].name == files[i - 1].name) {
      return absl::InvalidArgumentError(
          absl::StrCat("two files are called ", JsonExcerpt(files[i].name)));
    }
    json["files"].push_back(Json::array({files[i].name, files[i].sha256}));
  }
  if (!roles.empty()) json["roles"] = roles;
  ASSIGN_OR_RETURN(std::string text, CanonicalJson(json));
  return Sha256Hex(text);
}

absl::StatusOr<std::string> CacheKey(const Spec& spec, const ParamValues& params,
                                     const InputIdentities& inputs, int64_t seed) {
  Json identities = Json::object();
  for (const auto& [name, artifacts] : inputs) {
    identities[name] = Json::array();
    for (const InputIdentity& artifact : artifacts) {
      Json identity = {{"digest", artifact.digest}};
      if (artifact.architecture.has_value()) {
        identity["architecture"] = artifact.architecture->ToJson();
      }
      identities[name].push_back(std::move(identity));
    }
  }
  Json json = {{"analysis", spec.name()},
               {"version", spec.version()},
               {"params", ToJson(params)},
               {"inputs", std::move(identities)},
               {"seed", seed}};
  ASSIGN_OR_RETURN(std::string text, CanonicalJson(json));
  return Sha256Hex(text);
}

}  // namespace radiograph
