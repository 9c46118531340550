// What a Status knows of its cause, for those who treat causes differently: a full disk is not the
// fault of the analysis that met it. Kept in payloads, which the pipe between agent and compute
// process carries and gRPC does not.
#ifndef RADIOGRAPH_CORE_BASE_CAUSE_H_
#define RADIOGRAPH_CORE_BASE_CAUSE_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace radiograph {

// The errno of a status that ErrnoStatus (file.h) made; 0 when another made it.
int ErrnoOf(const absl::Status& status);
absl::Status WithErrno(absl::Status status, int error);

// Of the whole process, in bytes; 0: not known.
struct MemoryNeed {
  int64_t needed_bytes = 0;  // at least: what it held and what it asked for besides
  int64_t available_bytes = 0;
};
// RESOURCE_EXHAUSTED.
absl::Status OutOfMemoryError(absl::string_view message, const MemoryNeed& need);
// Of such a status, or of one with ENOMEM; nullopt for any other.
std::optional<MemoryNeed> MemoryNeedOf(const absl::Status& status);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_CAUSE_H_
