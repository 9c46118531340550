#include "tests/bench/cancel.h"

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr int kCancels = 50, kKills = 10;
constexpr int kManyDraws = 1000;  // seconds of work
constexpr int kPollMicroseconds = 2000;

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

// Of the compute process below the server; any thread may be the parent.
absl::StatusOr<int> ComputePid(int server) {
  for (const auto& task :
       std::filesystem::directory_iterator(absl::StrCat("/proc/", server, "/task"))) {
    ASSIGN_OR_RETURN(std::string children, ReadFile(task.path() / "children", 1 << 16));
    for (absl::string_view child : absl::StrSplit(children, ' ', absl::SkipWhitespace())) {
      absl::StatusOr<std::string> name = ReadFile(absl::StrCat("/proc/", child, "/comm"), 100);
      int pid;
      if (name.ok() && absl::StartsWith(*name, "radiograph-comp") && absl::SimpleAtoi(child, &pid))
        return pid;
    }
  }
  return absl::NotFoundError("the server has no compute process");
}

absl::StatusOr<double> CancelOnce(Server& server, v1::CreateJobRequest request, bool hang) {
  auto& draws = (*request.mutable_params()->mutable_fields())["null_draws"];
  request.set_cache(v1::BYPASS);
  draws.set_number_value(kManyDraws);
  ASSIGN_OR_RETURN(v1::CreateJobResponse first, server.client->CreateJob(request));
  while (true) {
    ASSIGN_OR_RETURN(v1::Job job, server.client->GetJob(first.job().id()));
    if (!job.attempts().empty() && job.attempts(0).has_start_time()) break;
    usleep(kPollMicroseconds);
  }
  draws.set_number_value(0);
  ASSIGN_OR_RETURN(v1::CreateJobResponse next, server.client->CreateJob(request));
  if (hang) {
    ASSIGN_OR_RETURN(int pid, ComputePid(server.process->pid()));
    kill(pid, SIGSTOP);
  }
  const absl::Time begin = absl::Now();
  RETURN_IF_ERROR(server.client->CancelJob(first.job().id()).status());
  ASSIGN_OR_RETURN(v1::Job job, server.client->WaitJob(next.job().id()));
  if (job.state() != v1::SUCCEEDED) return absl::InternalError(job.error().message());
  return absl::ToDoubleSeconds(ToTime(job.attempts(0).start_time()) - begin);
}

}  // namespace

absl::Status MeasureCancel(Server& server, v1::CreateJobRequest request) {
  for (const bool hang : {false, true}) {
    std::vector<double> seconds;
    for (int i = 0; i < (hang ? kKills : kCancels); ++i) {
      ASSIGN_OR_RETURN(double one, CancelOnce(server, request, hang));
      seconds.push_back(one);
    }
    Row(hang ? "the same, the job hangs and is killed after 2 s: a new process"
             : "Cancel to the next job's first instruction on the device",
        absl::StrFormat("p50 %.0f ms, p99 %.0f ms", 1e3 * Quantile(seconds, 0.5),
                        1e3 * Quantile(seconds, 0.99)),
        "");
  }
  return absl::OkStatus();
}

}  // namespace radiograph
