#include "core/base/end_signals.h"

#include <string.h>

#include "core/base/log.h"

namespace radiograph {

EndSignals::EndSignals() {
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&ends_);
  sigaddset(&ends_, SIGTERM);
  sigaddset(&ends_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends_, nullptr);
}

void EndSignals::Wait() const {
  int number = 0;
  sigwait(&ends_, &number);
  Log(LogLevel::kInfo, "draining", {{"signal", strsignal(number)}});
  pthread_sigmask(SIG_UNBLOCK, &ends_, nullptr);
}

}  // namespace radiograph
