// Completion of commands and flags in a shell.
#ifndef RADIOGRAPH_CLIENT_CLI_COMPLETION_H_
#define RADIOGRAPH_CLIENT_CLI_COMPLETION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/cli.h"

namespace radiograph::cli {

// A script for `source <(radiograph completion bash)`, the same in zsh (after compinit), and
// `radiograph completion fish | source`. A usage error for another shell.
absl::StatusOr<std::string> CompletionScript(absl::string_view shell,
                                             const std::vector<Command>& commands);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_COMPLETION_H_
