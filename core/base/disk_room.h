// Room on a disk, looked at before much is written.
#ifndef RADIOGRAPH_CORE_BASE_DISK_ROOM_H_
#define RADIOGRAPH_CORE_BASE_DISK_ROOM_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace radiograph {

// RESOURCE_EXHAUSTED, with the errno of a full disk, when the disk of `folder` has less room than
// these bytes for `what` ("the result"). The message names the folder, the need and what is free.
absl::Status CheckRoom(const std::string& folder, int64_t bytes, absl::string_view what);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_DISK_ROOM_H_
