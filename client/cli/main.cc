// The command line's process: signals, streams, exit code.
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/cli/cli.h"
#include "core/base/end_signals.h"
#include "core/base/log.h"

namespace radiograph::cli {
namespace {

// Ctrl-C, SIGTERM and a closed terminal ask for a stop; the second one ends the process at once.
// Made before any other thread: they inherit the blocked signals, so that only this one sees them.
class SignalListener {
 public:
  SignalListener() : signals_(EndSignalSet()) {
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::jthread([this] { Listen(); });
  }
  ~SignalListener() {
    done_ = true;
    pthread_kill(thread_.native_handle(), SIGTERM);
  }
  std::stop_token stop() const { return stop_.get_token(); }

 private:
  void Listen() {
    int signal = 0;
    sigwait(&signals_, &signal);
    if (done_) return;
    stop_.request_stop();
    sigwait(&signals_, &signal);
    if (!done_) _exit(static_cast<int>(ExitCode::kCancelled));
  }

  const sigset_t signals_;
  std::stop_source stop_;
  std::atomic<bool> done_ = false;
  std::jthread thread_;
};

// Whether stderr can draw a bar: TERM is unset or "dumb" where there is no cursor to move.
bool IsTerminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && term != nullptr && *term != '\0' &&
         std::strcmp(term, "dumb") != 0;
}

// Whether who read our stdout (`radiograph jobs ls | head -1`) has closed it: no fault of anyone.
bool ReaderIsGone() {
  pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  return poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

// A call's own status says why it failed, so gRPC's lines about it are not said besides, unless
// somebody looks for a fault and has set GRPC_VERBOSITY.
void SilenceLibraries() {
  google::protobuf::SetLogHandler(nullptr);
  gpr_set_log_function([](gpr_log_func_args* args) {
    if (std::getenv("GRPC_VERBOSITY") == nullptr) return;
    std::cerr << absl::StrCat("grpc: ", WithoutSecrets(args->message), "\n");
  });
}

int Main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  SilenceLibraries();
  SignalListener signals;
  Console console(std::cout, std::cerr, IsTerminal());
  Surroundings surroundings{.environment = [](const char* name) { return std::getenv(name); },
                            .compute_program = "",
                            .retry = {}};
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  ExitCode code = RunCommandLine(arguments, console, surroundings, signals.stop());
  std::cout.flush();
  if (!std::cout.good() && !ReaderIsGone() && code == ExitCode::kSuccess) {
    console.Say("radiograph: stdout can't be written; is the disk full?");
    code = ExitCode::kExhausted;
  }
  return static_cast<int>(code);
}

}  // namespace
}  // namespace radiograph::cli

int main(int argc, char** argv) { return radiograph::cli::Main(argc, argv); }
