// Results on their way to the user.
#ifndef RADIOGRAPH_CLIENT_CLI_RESULTS_H_
#define RADIOGRAPH_CLIENT_CLI_RESULTS_H_

#include <string>

#include "absl/status/status.h"
#include "client/cli/cli.h"
#include "client/cli/out_folder.h"
#include "client/cli/output.h"

namespace radiograph::cli {

// Keeps a bundle that lies below out.staging(), with the report, and prints its main numbers.
absl::Status ShowBundle(Cli& cli, const OutFolder& out, const std::string& bundle, Format format);

// Downloads a SUCCEEDED job's result (all of it only if it is kept), then as ShowBundle.
absl::Status FetchResult(Cli& cli, Client& client, const v1::Job& job, const OutFolder& out,
                         Format format);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_RESULTS_H_
