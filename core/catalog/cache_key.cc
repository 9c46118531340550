#include "core/catalog/cache_key.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {

absl::StatusOr<std::string> InputDigest(std::vector<NamedBlob> files,
                                        const Architecture& architecture,
                                        const std::map<std::string, std::string>& roles) {
  std::sort(files.begin(), files.end(),
            [](const NamedBlob& a, const NamedBlob& b) { return a.name < b.name; });
  Json json = {{"architecture", architecture.ToJson()}, {"files", Json::array()}};
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
                                     const std::map<std::string, std::vector<std::string>>& inputs,
                                     int64_t seed) {
  Json json = {{"analysis", spec.name()},
               {"version", spec.version()},
               {"params", ToJson(params)},
               {"inputs", inputs},
               {"seed", seed}};
  ASSIGN_OR_RETURN(std::string text, CanonicalJson(json));
  return Sha256Hex(text);
}

}  // namespace radiograph
