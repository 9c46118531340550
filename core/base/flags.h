// The settings of a program: `--name=value` or `--name value`, else the environment's
// RADIOGRAPH_NAME
// (`--cache-bytes`: RADIOGRAPH_CACHE_BYTES), else the default. A program declares its flags once,
// with the variable that holds default and value, and parses them in main.cc only:
//
//   struct Options { std::string listen = "127.0.0.1:7433"; absl::Duration lease =
//   absl::Seconds(30); }; Flags flags("radiographd", "The Radiograph server."); flags.Add("listen",
//   &options.listen, "HOST:PORT for gRPC; port 0 takes a free one"); flags.Add("lease",
//   &options.lease, {.min = absl::Seconds(1), .max = absl::Hours(1)}, "..."); if
//   (std::optional<int> exit = flags.ParseOrExit(argc, argv)) return *exit;
#ifndef RADIOGRAPH_CORE_BASE_FLAGS_H_
#define RADIOGRAPH_CORE_BASE_FLAGS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace radiograph {

class Flags {
 public:
  // Inclusive.
  template <typename T>
  struct Range {
    T min, max;
  };
  // The value of an environment variable; null when it isn't set.
  using Environment = std::function<const char*(const char* name)>;

  Flags(absl::string_view program, absl::string_view summary)
      : program_(program), summary_(summary) {}

  // `value` holds the default and outlives the Flags. `help` is one line and tells the unit.
  void Add(absl::string_view name, std::string* value, absl::string_view help);
  // A file or folder: ~/ at its start is the home folder (core/base/home.h).
  void AddPath(absl::string_view name, std::string* value, absl::string_view help);
  // One of `words`.
  void AddWord(absl::string_view name, std::string* value, std::vector<std::string> words,
               absl::string_view help);
  // `--name`, `--name=true`, `--name=false`.
  void Add(absl::string_view name, bool* value, absl::string_view help);
  void Add(absl::string_view name, int64_t* value, Range<int64_t> range, absl::string_view help);
  // Bytes: an integer, also with KiB, MiB, GiB or TiB behind it.
  void AddBytes(absl::string_view name, int64_t* value, Range<int64_t> range,
                absl::string_view help);
  // With units: 1s, 500ms, 1m30s; whole days: 30d.
  void Add(absl::string_view name, absl::Duration* value, Range<absl::Duration> range,
           absl::string_view help);

  // Sets the values from the environment, then from the arguments (argv without the program's
  // name). INVALID_ARGUMENT naming flag, value and what is allowed, nearest names for an unknown
  // flag, and for an argument that is no flag. An environment variable counts as set when it isn't
  // empty.
  absl::Status Parse(absl::Span<const char* const> arguments, const Environment& environment);
  bool help_wanted() const { return help_wanted_; }
  // Every flag with its environment variable, default and help.
  std::string Help() const;

  // For main(): the exit code when the program should end now, 0 after `--help` or a lone
  // `--version` (which print), 2 after a wrong flag (said on stderr).
  std::optional<int> ParseOrExit(int argc, const char* const* argv);

 private:
  struct Flag {
    std::string name, help, default_text;
    bool is_switch = false, is_path = false;
    std::function<absl::Status(absl::string_view)> set;  // the message is "what is allowed"
  };
  void AddFlag(absl::string_view name, absl::string_view help, std::string default_text,
               std::function<absl::Status(absl::string_view)> set);
  absl::Status Set(const Flag& flag, absl::string_view source, absl::string_view value,
                   const char* home) const;
  const Flag* Find(absl::string_view name) const;

  std::string program_, summary_;
  std::vector<Flag> flags_;
  bool help_wanted_ = false;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_FLAGS_H_
