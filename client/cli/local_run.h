// `run --local`: a job without a server, in a compute process of our own.
#ifndef RADIOGRAPH_CLIENT_CLI_LOCAL_RUN_H_
#define RADIOGRAPH_CLIENT_CLI_LOCAL_RUN_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/cli.h"
#include "client/cli/output.h"
#include "core/base/json.h"
#include "core/catalog/spec.h"

namespace radiograph::cli {

// Of a DATASET given as a path: input -> role -> tensor.
using InputRoles = std::map<std::string, std::map<std::string, std::string>>;

struct LocalRun {
  const Spec& spec;
  std::vector<std::pair<std::string, std::string>> inputs;  // name, path
  InputRoles roles;
  const Json& params;
  int64_t seed = 0;
  int64_t threads = 0;  // 0: the usable cores
  std::string out;      // a folder, or ""
  bool force = false;   // of OutOptions
  Format format = Format::kTable;
};

// Checks and prepares the job as a server does, so that result.json and arrays.safetensors are the
// same bytes.
absl::StatusOr<ExitCode> RunLocally(Cli& cli, const LocalRun& run);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_LOCAL_RUN_H_
