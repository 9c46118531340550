// What every command has: the console, the settings, and the client they lead to.
#ifndef RADIOGRAPH_CLIENT_CLI_CLI_H_
#define RADIOGRAPH_CLIENT_CLI_CLI_H_

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/cli/args.h"
#include "client/cli/console.h"
#include "client/cli/exit_code.h"
#include "client/cpp/client.h"

namespace radiograph::cli {

// What a command line depends on besides its arguments; tests bring their own.
struct Surroundings {
  std::function<const char*(const char* name)> environment;  // null when a variable isn't set
  std::string compute_program;  // of `run --local`; empty: the one beside this program
  RetryPolicy retry;
  // When it is said why a job waits, and how often the server is asked whether that has changed.
  absl::Duration reason_after = absl::Seconds(1), reason_interval = absl::Seconds(5);
};

class Cli {
 public:
  Cli(Console& console, const Surroundings& surroundings, std::stop_token stop)
      : console(console), surroundings(surroundings), stop(std::move(stop)) {}

  Console& console;
  const Surroundings& surroundings;
  const std::stop_token stop;  // requested by Ctrl-C

  // With each setting from its flag, else RADIOGRAPH_<NAME>, else the config file, else the default
  // (settings.cc). Made at the first call; a broken config file is a usage error.
  absl::StatusOr<Client*> client(const Args& args);

  // A TransferProgress on the console's bar.
  TransferOptions Transfer();

 private:
  std::unique_ptr<Client> client_;
};

struct Command {
  std::string name;         // "jobs ls"
  std::string positionals;  // "JOB [--out DIR]", as help shows them
  std::string summary;      // one line
  std::vector<FlagSpec> flags = {};
  size_t positionals_min = 0, positionals_max = 0;
  absl::StatusOr<ExitCode> (*run)(Cli& cli, const Args& args) = nullptr;
  // More help below the flags; may be empty. `args` are what stood beside --help.
  std::string (*details)(Cli& cli, const Args& args) = nullptr;
};

// The flags that say which server, and who asks; of every command.
std::vector<FlagSpec> ConnectionFlags();

// Families of commands, each in a file of its own.
std::vector<Command> AnalysisCommands();
std::vector<Command> ArtifactCommands();
std::vector<Command> JobCommands();
std::vector<Command> ResultCommands();
std::vector<Command> WorkerCommands();
std::vector<Command> ProgramCommands();
Command RunCommand();
Command DoctorCommand();
// All of them, with the flags that every command has.
std::vector<Command> AllCommands();

// Runs a whole command line without the program's name. Errors are one line on stderr.
ExitCode RunCommandLine(absl::Span<const std::string> arguments, Console& console,
                        const Surroundings& surroundings, std::stop_token stop);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_CLI_H_
