// Completion of commands and flags in a shell.
#ifndef RADIOGRAPH_CLIENT_CLI_COMPLETION_H_
#define RADIOGRAPH_CLIENT_CLI_COMPLETION_H_

#include <string>
#include <vector>

#include "client/cli/cli.h"

namespace radiograph::cli {

// A script for `source <(radiograph completion bash)`.
std::string BashCompletion(const std::vector<Command>& commands);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_COMPLETION_H_
