#include "core/base/flags.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/home.h"
#include "core/base/nearest_names.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

std::string EnvironmentName(absl::string_view flag) {
  return absl::StrCat("RADIOGRAPH_",
                      absl::AsciiStrToUpper(absl::StrReplaceAll(flag, {{"-", "_"}})));
}

template <typename T>
absl::Status OutOf(T min, T max, absl::string_view kind) {
  return absl::InvalidArgumentError(absl::StrCat(kind, " from ", min, " to ", max, " is allowed"));
}

struct Unit {
  absl::string_view suffix;
  int64_t bytes;
};
constexpr Unit kUnits[] = {
    {"TiB", int64_t{1} << 40}, {"GiB", int64_t{1} << 30}, {"MiB", int64_t{1} << 20}, {"KiB", 1024}};

std::string BytesText(int64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) return absl::StrCat(bytes / unit.bytes, unit.suffix);
  }
  return absl::StrCat(bytes);
}

bool ParseBytes(absl::string_view text, int64_t* bytes) {
  int64_t factor = 1;
  for (const Unit& unit : kUnits) {
    if (absl::ConsumeSuffix(&text, unit.suffix)) {
      factor = unit.bytes;
      break;
    }
  }
  int64_t count = 0;
  if (!absl::SimpleAtoi(text, &count)) return false;
  return !__builtin_mul_overflow(count, factor, bytes);
}

constexpr absl::Duration kDay = absl::Hours(24);

std::string DurationText(absl::Duration duration) {
  if (duration > absl::ZeroDuration() && duration % kDay == absl::ZeroDuration()) {
    return absl::StrCat(duration / kDay, "d");
  }
  return absl::FormatDuration(duration);
}

bool ParseFlagDuration(absl::string_view text, absl::Duration* duration) {
  if (!absl::ConsumeSuffix(&text, "d")) return absl::ParseDuration(std::string(text), duration);
  int32_t days = 0;
  if (!absl::SimpleAtoi(text, &days)) return false;
  *duration = days * kDay;
  return true;
}

}  // namespace

void Flags::AddFlag(absl::string_view name, absl::string_view help, std::string default_text,
                    std::function<absl::Status(absl::string_view)> set) {
  flags_.push_back({.name = std::string(name),
                    .help = std::string(help),
                    .default_text = std::move(default_text),
                    .set = std::move(set)});
}

void Flags::Add(absl::string_view name, std::string* value, absl::string_view help) {
  AddFlag(name, help, *value, [value](absl::string_view text) {
    *value = std::string(text);
    return absl::OkStatus();
  });
}

void Flags::AddPath(absl::string_view name, std::string* value, absl::string_view help) {
  Add(name, value, help);
  flags_.back().is_path = true;
}

void Flags::AddWord(absl::string_view name, std::string* value, std::vector<std::string> words,
                    absl::string_view help) {
  std::string allowed = absl::StrJoin(words, "|");
  AddFlag(name, absl::StrCat(help, " (", allowed, ")"), *value,
          [value, allowed, words = std::move(words)](absl::string_view text) -> absl::Status {
            if (std::find(words.begin(), words.end(), text) == words.end()) {
              return absl::InvalidArgumentError(absl::StrCat("one of ", allowed, " is allowed"));
            }
            *value = std::string(text);
            return absl::OkStatus();
          });
}

void Flags::Add(absl::string_view name, bool* value, absl::string_view help) {
  AddFlag(name, help, *value ? "true" : "false", [value](absl::string_view text) -> absl::Status {
    if (text != "true" && text != "false") {
      return absl::InvalidArgumentError("true or false is allowed");
    }
    *value = text == "true";
    return absl::OkStatus();
  });
  flags_.back().is_switch = true;
}

void Flags::Add(absl::string_view name, int64_t* value, Range<int64_t> range,
                absl::string_view help) {
  AddFlag(name, help, absl::StrCat(*value), [value, range](absl::string_view text) -> absl::Status {
    int64_t given = 0;
    if (!absl::SimpleAtoi(text, &given) || given < range.min || given > range.max) {
      return OutOf(range.min, range.max, "an integer");
    }
    *value = given;
    return absl::OkStatus();
  });
}

void Flags::AddBytes(absl::string_view name, int64_t* value, Range<int64_t> range,
                     absl::string_view help) {
  AddFlag(name, help, BytesText(*value), [value, range](absl::string_view text) -> absl::Status {
    int64_t given = 0;
    if (!ParseBytes(text, &given) || given < range.min || given > range.max) {
      return OutOf(BytesText(range.min), BytesText(range.max), "a number of bytes (KiB, MiB, GiB)");
    }
    *value = given;
    return absl::OkStatus();
  });
}

void Flags::Add(absl::string_view name, absl::Duration* value, Range<absl::Duration> range,
                absl::string_view help) {
  AddFlag(name, help, DurationText(*value), [value, range](absl::string_view text) -> absl::Status {
    absl::Duration given;
    if (!ParseFlagDuration(text, &given) || given < range.min || given > range.max) {
      return OutOf(DurationText(range.min), DurationText(range.max), "a duration like 30s or 30d");
    }
    *value = given;
    return absl::OkStatus();
  });
}

const Flags::Flag* Flags::Find(absl::string_view name) const {
  for (const Flag& flag : flags_) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

absl::Status Flags::Set(const Flag& flag, absl::string_view source, absl::string_view value,
                        const char* home) const {
  const absl::StatusOr<std::string> meant =
      flag.is_path ? ExpandHome(value, home) : std::string(value);
  absl::Status status = meant.ok() ? flag.set(*meant) : meant.status();
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(source, " is '", value, "'; ", status.message()));
}

absl::Status Flags::Parse(absl::Span<const char* const> arguments, const Environment& environment) {
  const char* home = environment("HOME");
  for (const Flag& flag : flags_) {
    const std::string name = EnvironmentName(flag.name);
    const char* value = environment(name.c_str());
    if (value != nullptr && *value != '\0') RETURN_IF_ERROR(Set(flag, name, value, home));
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      help_wanted_ = true;
      continue;
    }
    if (!absl::ConsumePrefix(&argument, "--")) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", argument, "' is not a flag; see ", program_, " --help"));
    }
    const size_t equals = argument.find('=');
    const absl::string_view name = argument.substr(0, equals);
    const Flag* flag = Find(name);
    if (flag == nullptr) {
      std::vector<std::string> names;
      for (const Flag& known : flags_) names.push_back(known.name);
      return absl::InvalidArgumentError(
          absl::StrCat("there is no flag --", name, "; nearest: --",
                       absl::StrJoin(NearestNames(name, names, 3), ", --")));
    }
    absl::string_view value = "true";
    if (equals != absl::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (!flag->is_switch) {
      if (++i == arguments.size()) {
        return absl::InvalidArgumentError(absl::StrCat("--", name, " needs a value"));
      }
      value = arguments[i];
    }
    RETURN_IF_ERROR(Set(*flag, absl::StrCat("--", name), value, home));
  }
  return absl::OkStatus();
}

std::string Flags::Help() const {
  std::string text = absl::StrCat(program_, ": ", summary_,
                                  "\nAn empty environment variable counts as not set.\n\n"
                                  "  --version\n      alone: tell the version and end\n");
  for (const Flag& flag : flags_) {
    absl::StrAppend(&text, "  --", flag.name, flag.is_switch ? "" : "=VALUE", "\n      ", flag.help,
                    "\n      default: ", flag.default_text.empty() ? "none" : flag.default_text,
                    "; environment: ", EnvironmentName(flag.name), "\n");
  }
  return text;
}

std::optional<int> Flags::ParseOrExit(int argc, const char* const* argv) {
  if (argc == 2 && absl::string_view(argv[1]) == "--version") {
    printf("%s %s\n", program_.c_str(), RADIOGRAPH_VERSION);
    return 0;
  }
  const absl::Status status =
      Parse(absl::MakeConstSpan(argv + 1, argc - 1), [](const char* name) { return getenv(name); });
  if (!status.ok()) {
    fprintf(stderr, "%s: %s\n", program_.c_str(), std::string(status.message()).c_str());
    return 2;
  }
  if (!help_wanted_) return std::nullopt;
  fputs(Help().c_str(), stdout);
  return 0;
}

}  // namespace radiograph
