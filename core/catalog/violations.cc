#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/catalog/params.h"

namespace radiograph {
namespace {

constexpr size_t kMessageBytesMax = 1024;

}  // namespace

absl::Status ViolationsStatus(const std::vector<Violation>& violations) {
  std::string message;
  Json payload = Json::array();
  size_t listed = 0;
  for (const Violation& violation : violations) {
    if (payload.size() == kViolationsMax) break;
    payload.push_back({{"field", violation.field}, {"description", violation.description}});
    std::string line =
        absl::StrCat(message.empty() ? "" : "; ", violation.field, " ", violation.description);
    if (message.size() + line.size() > kMessageBytesMax && listed > 0) continue;
    message += line;
    ++listed;
  }
  if (listed < violations.size())
    absl::StrAppend(&message, "; and ", violations.size() - listed, " more");
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kViolationsUrl,
                    absl::Cord(payload.dump(-1, ' ', false, Json::error_handler_t::replace)));
  return status;
}

std::vector<Violation> ViolationsOf(const absl::Status& status) {
  absl::optional<absl::Cord> payload = status.GetPayload(kViolationsUrl);
  if (!payload.has_value()) return {};
  absl::StatusOr<Json> list = ParseJson(std::string(*payload));
  std::vector<Violation> violations;
  if (!list.ok() || !list->is_array()) return {};
  for (const Json& entry : *list) {
    violations.push_back({entry.value("field", ""), entry.value("description", "")});
  }
  return violations;
}

}  // namespace radiograph
