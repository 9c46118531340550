// How the command line ends. The numbers are a contract: pipelines read them.
#ifndef RADIOGRAPH_CLIENT_CLI_EXIT_CODE_H_
#define RADIOGRAPH_CLIENT_CLI_EXIT_CODE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace radiograph::cli {

enum class ExitCode {
  kSuccess = 0,
  kFailed = 1,        // the job FAILED, for a reason that has no code of its own
  kUsage = 2,         // wrong command or flags
  kInconclusive = 3,  // of a gate
  kTimeOut = 4,       // while waiting; the job goes on
  kCancelled = 5,
  kNotAllowed = 6,
  kUnreachable = 7,  // no server answers
  kRejected = 8,     // the input, before or during the run
  kInternal = 9,
  kExhausted = 10,  // memory, disk, a quota
};

// A wrong command line: ends with kUsage.
absl::Status UsageError(absl::string_view message);

// Of a command that could not do what was asked.
ExitCode ExitCodeOf(const absl::Status& status);

// Of a job that ended FAILED or CANCELLED with this code. What only speaks of calls (no server, no
// time left to wait) is kFailed here.
ExitCode ExitCodeOfJob(absl::StatusCode code);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_EXIT_CODE_H_
