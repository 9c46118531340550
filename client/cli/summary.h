// A result on the console.
#ifndef RADIOGRAPH_CLIENT_CLI_SUMMARY_H_
#define RADIOGRAPH_CLIENT_CLI_SUMMARY_H_

#include <string>

#include "absl/status/status.h"
#include "client/cli/console.h"
#include "client/cli/output.h"

namespace radiograph::cli {

// Of the bundle in `folder`. Table: verdicts, metrics, short tables, findings. CSV: one line for
// each number of the metrics. JSON: result.json as it is.
absl::Status PrintResult(Console& console, Format format, const std::string& folder);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_SUMMARY_H_
