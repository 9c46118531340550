// The arguments of one command, read against what it declares.
#ifndef RADIOGRAPH_CLIENT_CLI_ARGS_H_
#define RADIOGRAPH_CLIENT_CLI_ARGS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace radiograph::cli {

// `--name VALUE` or `--name=VALUE`; a flag without `value` is a switch.
struct FlagSpec {
  std::string name;   // "out", or "o" for `-o`
  std::string value;  // "DIR", as help shows it; empty: a switch
  std::string help;
  bool repeated = false;
};

// "--out" or "-o".
std::string Dashed(absl::string_view name);

class Args {
 public:
  // A usage error for an unknown flag (nearest ones offered), a missing or unwanted value, a second
  // one. After
  // `--` nothing is a flag.
  static absl::StatusOr<Args> Parse(absl::Span<const FlagSpec> flags,
                                    absl::Span<const std::string> arguments);

  bool Has(absl::string_view flag) const { return !All(flag).empty(); }
  // The value, or "".
  std::string Get(absl::string_view flag) const;
  // In the order given.
  std::vector<std::string> All(absl::string_view flag) const;
  // Usage errors name the flag and what is allowed.
  absl::StatusOr<int64_t> Integer(absl::string_view flag, int64_t if_absent, int64_t min,
                                  int64_t max) const;
  absl::StatusOr<absl::Duration> Duration(absl::string_view flag, absl::Duration if_absent) const;
  // "NAME=VALUE", split at the first "=".
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> Pairs(
      absl::string_view flag) const;

  // A usage error for a value or a positional that holds no path and is no UTF-8: it goes to the
  // server as text. `positionals` as help shows them.
  absl::Status CheckText(absl::Span<const FlagSpec> flags, absl::string_view positionals) const;
  // Puts the home folder in the place of ~/ (core/base/home.h) in positionals and in the values of
  // flags that hold a FILE, a DIR, a PATH or a REF: no name of an artifact begins with `~`. A usage
  // error tells the flag and the path.
  absl::Status ExpandPaths(absl::Span<const FlagSpec> flags, const char* home);

  const std::vector<std::string>& positionals() const { return positionals_; }

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positionals_;
};

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_ARGS_H_
