#include "client/cli/job_text.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/push.h"
#include "client/cli/times.h"
#include "client/cli/waiting_reason.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

// A token that is requested when another one is, or when the time is over.
class Timer {
 public:
  Timer(absl::Duration timeout, std::stop_token other)
      : forward_(std::move(other), [this] { source_.request_stop(); }),
        thread_([this, timeout](std::stop_token end) {
          std::stop_callback wake(end, [this] { absl::MutexLock lock(&mu_); });
          absl::MutexLock lock(&mu_);
          auto ended = [&end] { return end.stop_requested(); };
          if (mu_.AwaitWithTimeout(absl::Condition(&ended), timeout)) return;
          over_ = true;
          source_.request_stop();
        }) {}
  std::stop_token token() const { return source_.get_token(); }
  bool over() const {
    absl::MutexLock lock(&mu_);
    return over_;
  }

 private:
  mutable absl::Mutex mu_;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  std::stop_source source_;
  std::stop_callback<std::function<void()>> forward_;
  std::jthread thread_;
};

std::string AttemptText(const v1::Attempt& attempt) {
  std::string text =
      absl::StrCat(attempt.slot(), "  ", attempt.outcome().empty() ? "running" : attempt.outcome());
  if (!attempt.error().message().empty()) absl::StrAppend(&text, ": ", attempt.error().message());
  if (!attempt.help().empty()) absl::StrAppend(&text, "; ", attempt.help());
  absl::string_view tail = absl::StripTrailingAsciiWhitespace(attempt.stderr_tail());
  if (!tail.empty()) absl::StrAppend(&text, "; last words: ", tail.substr(tail.rfind('\n') + 1));
  return text;
}

}  // namespace

absl::Status PrintJob(Console& console, Format format, const v1::Job& job) {
  TextTable table{.columns = {"FIELD", "VALUE"}, .rows = {{"job", job.id()}}};
  auto add = [&](const std::string& field, const std::string& value) {
    if (!value.empty()) table.rows.push_back({field, value});
  };
  add("analysis", absl::StrCat(job.analysis(), ", version ", job.analysis_version()));
  add("state", v1::JobState_Name(job.state()));
  add("why it waits", job.pending_reason());
  if (job.state() == v1::RUNNING)
    add("progress", absl::StrFormat("%.0f%%  %s", job.progress() * 100, job.phase()));
  add("error", job.error().message());
  for (const auto& [name, input] : job.inputs()) {
    add(absl::StrCat("input ", name),
        absl::StrJoin(input.artifacts(), " ", [](std::string* to, const v1::Artifact& artifact) {
          absl::StrAppend(to, RefOf(artifact));
        }));
  }
  ASSIGN_OR_RETURN(Json params, MessageToJson(job.params()));
  add("parameters", params.dump());
  add("seed", absl::StrCat(job.seed()));
  add("created", TimeText(job.create_time()));
  add("ended", TimeText(job.end_time()));
  if (job.has_expire_time()) add("kept until", TimeText(job.expire_time()));
  if (job.has_deadline()) add("deadline", TimeText(job.deadline()));
  add("does over again", job.retry_of());
  if (!job.differs_from().empty()) {
    add("warning", absl::StrCat("an equal engine made another result in job ", job.differs_from()));
  }
  if (job.cache_hit()) add("cache", "hit: nothing ran");
  for (const v1::Attempt& attempt : job.attempts()) {
    add(absl::StrCat("attempt ", attempt.number()), AttemptText(attempt));
  }
  add("result digest", job.result_digest());
  ASSIGN_OR_RETURN(Json json, MessageToJson(job));
  if (format == Format::kName) table.rows = {{job.id(), ""}};
  Print(console.out(), format, table, json);
  return absl::OkStatus();
}

std::string EventText(const v1::JobEvent& event) {
  return absl::StrFormat("%s  %-9s %3.0f%%  %s  %s",
                         absl::FormatTime("%H:%M:%S", ToTime(event.time()), absl::LocalTimeZone()),
                         v1::JobState_Name(event.state()), event.progress() * 100,
                         Printable(event.phase()), Printable(event.message()));
}

absl::StatusOr<v1::Job> Follow(Cli& cli, Client& client, const std::string& id,
                               absl::Duration timeout,
                               absl::FunctionRef<void(const v1::JobEvent&)> on_event) {
  Timer timer(timeout, cli.stop);
  std::string state = "QUEUED";
  absl::StatusOr<v1::Job> job;
  {
    absl::Mutex console_mu;
    const WaitingReason reason(cli, client, id, console_mu);
    job = client.WatchJob(
        id, 0,
        [&](const v1::JobEvent& event) {
          absl::MutexLock lock(&console_mu);
          state = v1::JobState_Name(event.state());
          on_event(event);
          cli.console.Bar(state, event.progress(),
                          absl::StrCat(event.phase(), " ", event.message()));
        },
        timer.token());
  }
  cli.console.EndBar();
  if (!job.ok() && timer.over() && !cli.stop.stop_requested()) {
    return absl::DeadlineExceededError(absl::StrCat("job ", id, " is ", state, " after ",
                                                    absl::FormatDuration(timeout), "; it goes on"));
  }
  return job;
}

ExitCode ReportEnd(Console& console, const v1::Job& job) {
  if (job.state() == v1::SUCCEEDED) return ExitCode::kSuccess;
  const std::string help = job.attempts().empty() ? "" : job.attempts().rbegin()->help();
  console.Say(absl::StrCat("radiograph: job ", job.id(), " ", v1::JobState_Name(job.state()),
                           job.error().message().empty() ? "" : ": ", job.error().message(),
                           help.empty() ? "" : "; ", help));
  if (job.state() == v1::CANCELLED) return ExitCode::kCancelled;
  return ExitCodeOfJob(static_cast<absl::StatusCode>(job.error().code()));
}

}  // namespace radiograph::cli
