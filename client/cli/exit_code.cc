#include "client/cli/exit_code.h"

#include "absl/strings/cord.h"
#include "client/cpp/client.h"

namespace radiograph::cli {
namespace {

constexpr char kUsagePayload[] = "radiograph.cli/usage";

}  // namespace

absl::Status UsageError(absl::string_view message) {
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kUsagePayload, absl::Cord());
  return status;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.GetPayload(kUsagePayload).has_value()) return ExitCode::kUsage;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kSuccess;
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kTimeOut;
    case absl::StatusCode::kUnavailable:
      // Of a local file or program it is no word on the server.
      return FromServer(status) ? ExitCode::kUnreachable : ExitCode::kInternal;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return ExitCode::kRejected;
    default:
      ExitCode code = ExitCodeOfJob(status.code());
      return code == ExitCode::kFailed ? ExitCode::kInternal : code;
  }
}

ExitCode ExitCodeOfJob(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kRejected;
    case absl::StatusCode::kCancelled:
      return ExitCode::kCancelled;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return ExitCode::kNotAllowed;
    case absl::StatusCode::kResourceExhausted:
      return ExitCode::kExhausted;
    case absl::StatusCode::kInternal:
      return ExitCode::kInternal;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace radiograph::cli
