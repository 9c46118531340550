#include "core/results/result.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

// The member `name` as text, or INVALID_ARGUMENT.
absl::StatusOr<std::string> Text(const Json& json, const char* name) {
  auto found = json.find(name);
  if (found == json.end() || !found->is_string()) {
    return absl::InvalidArgumentError(absl::StrCat("engine: \"", name, "\" must be a string"));
  }
  return found->get<std::string>();
}

}  // namespace

Json Engine::ToJson() const {
  return {{"build", build},
          {"cpu_capability", cpu_capability},
          {"device_kind", device_kind},
          {"device_model", device_model},
          {"threads", threads},
          {"torch_version", torch_version}};
}

absl::StatusOr<Engine> Engine::FromJson(const Json& json) {
  if (!json.is_object()) return absl::InvalidArgumentError("engine: must be an object");
  Engine engine;
  for (auto [name, member] : {std::pair{"build", &engine.build},
                              {"cpu_capability", &engine.cpu_capability},
                              {"device_kind", &engine.device_kind},
                              {"device_model", &engine.device_model},
                              {"torch_version", &engine.torch_version}}) {
    ASSIGN_OR_RETURN(*member, Text(json, name));
  }
  auto threads = json.find("threads");
  if (threads == json.end() || !threads->is_number_integer() || threads->get<int64_t>() < 1) {
    return absl::InvalidArgumentError("engine: \"threads\" must be an integer >= 1");
  }
  engine.threads = threads->get<int64_t>();
  return engine;
}

}  // namespace radiograph
