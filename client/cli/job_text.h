// Jobs on the console, and how a command ends with them.
#ifndef RADIOGRAPH_CLIENT_CLI_JOB_TEXT_H_
#define RADIOGRAPH_CLIENT_CLI_JOB_TEXT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/cli.h"
#include "client/cli/output.h"

namespace radiograph::cli {

// As a table of fields, or as the whole message.
absl::Status PrintJob(Console& console, Format format, const v1::Job& job);

// "12:00:01  RUNNING   50%  eigen  layer 3"
std::string EventText(const v1::JobEvent& event);

// Follows a job to its end: a progress bar, why it waits, and each event through `on_event`. After
// Ctrl-C it returns CANCELLED; the job goes on. `timeout`: DEADLINE_EXCEEDED past it.
absl::StatusOr<v1::Job> Follow(Cli& cli, Client& client, const std::string& id,
                               absl::Duration timeout,
                               absl::FunctionRef<void(const v1::JobEvent&)> on_event);

// Says how a job that has ended did so, if it was not a success.
ExitCode ReportEnd(Console& console, const v1::Job& job);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_JOB_TEXT_H_
