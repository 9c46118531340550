#include "client/cli/waiting_reason.h"

#include "absl/strings/str_cat.h"

namespace radiograph::cli {
namespace {

// A job that runs waits again only when its worker is lost.
constexpr int kIntervalsOfARunningJob = 6;

// False when the stop came first.
bool Sleep(absl::Duration time, std::stop_token stop) {
  absl::Mutex mu;
  std::stop_callback wake(stop, [&mu] { absl::MutexLock lock(&mu); });
  absl::MutexLock lock(&mu);
  auto stopped = [&stop] { return stop.stop_requested(); };
  return !mu.AwaitWithTimeout(absl::Condition(&stopped), time);
}

}  // namespace

std::string WaitingText(const v1::Job& job) {
  if (job.state() != v1::QUEUED || job.pending_reason().empty()) return "";
  return absl::StrCat("Job ", job.id(), " waits: ", job.pending_reason());
}

void WaitingReason::Tell(Cli& cli, Client& client, const std::string& id, absl::Mutex& console_mu,
                         std::stop_token stop) {
  std::string said;
  absl::Duration pause = cli.surroundings.reason_after;
  while (Sleep(pause, stop)) {
    pause = cli.surroundings.reason_interval;
    // What goes wrong is said by who waits for the job.
    absl::StatusOr<v1::Job> job = client.GetJob(id, stop);
    if (!job.ok()) continue;
    if (job->state() != v1::QUEUED) pause *= kIntervalsOfARunningJob;
    const std::string text = WaitingText(*job);
    if (text.empty() || text == said) continue;
    said = text;
    absl::MutexLock lock(&console_mu);
    cli.console.Say(text);
  }
}

}  // namespace radiograph::cli
