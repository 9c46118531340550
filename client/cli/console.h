// Where the command line speaks: data on stdout, talk on stderr, a progress bar on a terminal only.
#ifndef RADIOGRAPH_CLIENT_CLI_CONSOLE_H_
#define RADIOGRAPH_CLIENT_CLI_CONSOLE_H_

#include <ostream>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace radiograph::cli {

// Used from one thread.
class Console {
 public:
  // The streams outlive the console.
  Console(std::ostream& out, std::ostream& err, bool terminal)
      : out_(out), err_(err), terminal_(terminal) {}

  // Data. Ends a bar first.
  std::ostream& out();
  // One line of talk. Ends a bar first.
  void Say(absl::string_view line);
  // Draws or moves the bar: "Sending  [#####     ]  50%  text". At most ten times a second; nothing
  // when stderr is no terminal.
  void Bar(absl::string_view label, double fraction, absl::string_view text = "");
  // Wipes the bar away.
  void EndBar();
  bool terminal() const { return terminal_; }

 private:
  std::ostream& out_;
  std::ostream& err_;
  const bool terminal_;
  bool bar_shown_ = false;
  std::string bar_label_;
  absl::Duration bar_time_ = -absl::InfiniteDuration();  // monotonic
};

// "1.5 MiB"
std::string BytesText(int64_t bytes);

// Text from outside without what would move a terminal's cursor or not be seen (core/base/names.h).
std::string Printable(absl::string_view text);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_CONSOLE_H_
