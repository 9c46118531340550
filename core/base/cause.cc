#include "core/base/cause.h"

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace radiograph {
namespace {

constexpr char kErrno[] = "radiograph/errno";
constexpr char kMemory[] = "radiograph/memory";

}  // namespace

int ErrnoOf(const absl::Status& status) {
  absl::optional<absl::Cord> text = status.GetPayload(kErrno);
  int error = 0;
  return text.has_value() && absl::SimpleAtoi(std::string(*text), &error) ? error : 0;
}

absl::Status WithErrno(absl::Status status, int error) {
  status.SetPayload(kErrno, absl::Cord(absl::StrCat(error)));
  return status;
}

absl::Status OutOfMemoryError(absl::string_view message, const MemoryNeed& need) {
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload(kMemory,
                    absl::Cord(absl::StrCat(need.needed_bytes, " ", need.available_bytes)));
  return status;
}

std::optional<MemoryNeed> MemoryNeedOf(const absl::Status& status) {
  if (ErrnoOf(status) == ENOMEM) return MemoryNeed();
  absl::optional<absl::Cord> text = status.GetPayload(kMemory);
  if (!text.has_value()) return std::nullopt;
  MemoryNeed need;
  const std::vector<std::string> parts = absl::StrSplit(std::string(*text), ' ');
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &need.needed_bytes) ||
      !absl::SimpleAtoi(parts[1], &need.available_bytes)) {
    return MemoryNeed();
  }
  return need;
}

}  // namespace radiograph
