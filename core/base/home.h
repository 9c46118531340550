// The home folder in the paths of flags, environment variables and settings. A shell expands `~/`
// at the start of a word only, not in `--out=~/x`, and whoever reads a unit file or an environment
// never does.
#ifndef RADIOGRAPH_CORE_BASE_HOME_H_
#define RADIOGRAPH_CORE_BASE_HOME_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

// `path` with HOME for a `~` that is all of it or stands before its first `/`. `home` is the value
// of HOME; null when it is not set. INVALID_ARGUMENT when that is no absolute path, and for
// `~user`: the message says what would be right, not which path is wrong.
absl::StatusOr<std::string> ExpandHome(absl::string_view path, const char* home);

// Where a program keeps its own files unless told otherwise: below $XDG_STATE_HOME, ~/.local/state,
// or, where neither is an absolute path, NAME-state in the folder that it was started in.
std::string DefaultStateFolder(absl::string_view name);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_HOME_H_
