#include "core/base/end_signals.h"

#include <string.h>

#include "core/base/log.h"

namespace radiograph {

sigset_t EndSignalSet() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  struct sigaction hang_up;
  const bool ignored = sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler == SIG_IGN;
  if (!ignored) sigaddset(&ends, SIGHUP);
  return ends;
}

EndSignals::EndSignals() : ends_(EndSignalSet()) {
  signal(SIGPIPE, SIG_IGN);
  pthread_sigmask(SIG_BLOCK, &ends_, nullptr);
}

void EndSignals::Wait() const {
  int number = 0;
  sigwait(&ends_, &number);
  Log(LogLevel::kInfo, "draining", {{"signal", strsignal(number)}});
  pthread_sigmask(SIG_UNBLOCK, &ends_, nullptr);
}

}  // namespace radiograph
