#include "core/base/home.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace radiograph {
namespace {

bool IsAbsolute(const char* path) { return path != nullptr && *path == '/'; }

}  // namespace

absl::StatusOr<std::string> ExpandHome(absl::string_view path, const char* home) {
  absl::string_view rest = path;
  if (!absl::ConsumePrefix(&rest, "~")) return std::string(path);
  if (!rest.empty() && rest[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("only your own home folder, ~/, is known here; write the whole path, or ./",
                     path, " for what is called so in this folder"));
  }
  if (!IsAbsolute(home)) {
    return absl::InvalidArgumentError(
        "HOME is not set, or no absolute path, so ~ says nothing; write the whole path");
  }
  return absl::StrCat(absl::StripSuffix(home, "/"), rest.empty() ? "/" : rest);
}

std::string DefaultStateFolder(absl::string_view name) {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (IsAbsolute(state)) return absl::StrCat(state, "/", name);
  const char* home = std::getenv("HOME");
  if (IsAbsolute(home)) return absl::StrCat(home, "/.local/state/", name);
  return absl::StrCat(name, "-state");
}

}  // namespace radiograph
