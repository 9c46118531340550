#include "client/cli/waiting_reason.h"

#include "absl/strings/str_cat.h"
#include "core/base/steady_event.h"

namespace radiograph::cli {
namespace {

// A job that runs waits again only when its worker is lost.
constexpr int kIntervalsOfARunningJob = 6;

}  // namespace

std::string WaitingText(const v1::Job& job) {
  if (job.state() != v1::QUEUED || job.pending_reason().empty()) return "";
  return absl::StrCat("Job ", job.id(), " waits: ", job.pending_reason());
}

void WaitingReason::Tell(Cli& cli, Client& client, const std::string& id, absl::Mutex& console_mu,
                         std::stop_token stop) {
  SteadyEvent stopped;
  const std::stop_callback wake(stop, [&stopped] { stopped.Set(); });
  std::string said;
  absl::Duration pause = cli.surroundings.reason_after;
  while (!stopped.Wait(pause)) {
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
