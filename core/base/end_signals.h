// SIGTERM, SIGINT and SIGHUP (a closed terminal) of a program that works until it is told to end.
#ifndef RADIOGRAPH_CORE_BASE_END_SIGNALS_H_
#define RADIOGRAPH_CORE_BASE_END_SIGNALS_H_

#include <signal.h>

namespace radiograph {

// The signals that ask a program to end. SIGHUP is among them unless it is ignored at the start, as
// nohup(1) has it.
sigset_t EndSignalSet();

// Made before any thread starts: they inherit the blocked signals, so that only Wait sees them.
// SIGPIPE is ignored from then on.
class EndSignals {
 public:
  EndSignals();
  // Until the first of them, which is logged as "draining". A second one ends the process at once:
  // what is acknowledged is durable.
  void Wait() const;

 private:
  sigset_t ends_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_END_SIGNALS_H_
