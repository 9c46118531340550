// Why a job waits, said while somebody waits for it.
#ifndef RADIOGRAPH_CLIENT_CLI_WAITING_REASON_H_
#define RADIOGRAPH_CLIENT_CLI_WAITING_REASON_H_

#include <string>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "client/cli/cli.h"

namespace radiograph::cli {

// For as long as it lives, asks the server for the job and says on the console why it is QUEUED:
// once it has been for Surroundings::reason_after, and again when the reason changes. Asks on a
// thread of its own, every Surroundings::reason_interval while the job waits and less often later.
// Whoever else speaks on the console meanwhile holds `console_mu`.
class WaitingReason {
 public:
  // The arguments outlive it.
  WaitingReason(Cli& cli, Client& client, const std::string& id, absl::Mutex& console_mu)
      : thread_([&cli, &client, &console_mu, id](std::stop_token stop) {
          Tell(cli, client, id, console_mu, std::move(stop));
        }) {}

 private:
  static void Tell(Cli& cli, Client& client, const std::string& id, absl::Mutex& console_mu,
                   std::stop_token stop);
  std::jthread thread_;
};

// The line that is said: "Job 0a1b waits: no worker offers ..."; empty when there is no reason.
std::string WaitingText(const v1::Job& job);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_WAITING_REASON_H_
