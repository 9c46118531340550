#include "client/cli/args.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/exit_code.h"
#include "core/base/home.h"
#include "core/base/json.h"
#include "core/base/names.h"
#include "core/base/nearest_names.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr int kNearestMax = 3;

const FlagSpec* FindFlag(absl::Span<const FlagSpec> flags, absl::string_view name) {
  for (const FlagSpec& flag : flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

absl::Status UnknownFlag(absl::Span<const FlagSpec> flags, absl::string_view given) {
  std::vector<std::string> names;
  for (const FlagSpec& flag : flags) names.push_back(Dashed(flag.name));
  return UsageError(absl::StrCat("there is no flag ", given, " here",
                                 NearestText("; nearest: ", given, names, kNearestMax)));
}

// `value` as a flag's help shows it.
bool HoldsPath(absl::string_view value) {
  for (const char* word : {"FILE", "DIR", "PATH", "REF"}) {
    if (absl::StrContains(value, word)) return true;
  }
  return false;
}

bool LooksLikeFlag(absl::string_view text) {
  return text.size() > 1 && text[0] == '-' && !absl::ascii_isdigit(text[1]);
}

}  // namespace

std::string Dashed(absl::string_view name) {
  return absl::StrCat(name.size() == 1 ? "-" : "--", name);
}

absl::StatusOr<Args> Args::Parse(absl::Span<const FlagSpec> flags,
                                 absl::Span<const std::string> arguments) {
  Args args;
  for (size_t i = 0; i < arguments.size(); ++i) {
    absl::string_view argument = arguments[i];
    if (argument == "--") {
      args.positionals_.insert(args.positionals_.end(), arguments.begin() + i + 1, arguments.end());
      break;
    }
    if (!LooksLikeFlag(argument)) {
      args.positionals_.push_back(arguments[i]);
      continue;
    }
    size_t equals = argument.find('=');
    absl::string_view dashed = argument.substr(0, equals);
    absl::string_view name = dashed.substr(absl::StartsWith(dashed, "--") ? 2 : 1);
    const FlagSpec* flag = FindFlag(flags, name);
    if (flag == nullptr || dashed != Dashed(name)) return UnknownFlag(flags, dashed);
    std::string value = "true";
    if (flag->value.empty()) {
      if (equals != argument.npos) {
        return UsageError(
            absl::StrCat(dashed, " takes no value; leave out \"", argument.substr(equals), "\""));
      }
    } else if (equals != argument.npos) {
      value = std::string(argument.substr(equals + 1));
    } else if (++i < arguments.size()) {
      value = arguments[i];
    } else {
      return UsageError(absl::StrCat(dashed, " needs a value: ", dashed, " ", flag->value));
    }
    std::vector<std::string>& values = args.values_[flag->name];
    if (!values.empty() && !flag->repeated) {
      return UsageError(absl::StrCat(dashed, " is given twice"));
    }
    values.push_back(std::move(value));
  }
  return args;
}

absl::Status Args::CheckText(absl::Span<const FlagSpec> flags,
                             absl::string_view positionals) const {
  auto check = [](absl::string_view source, absl::string_view expected, absl::string_view text) {
    if (IsUtf8(text) || HoldsPath(expected)) return absl::OkStatus();
    return UsageError(absl::StrCat(source, " is \"", Shown(text), "\", which is not UTF-8"));
  };
  for (const auto& [name, values] : values_) {
    const FlagSpec* flag = FindFlag(flags, name);
    for (const std::string& value : values)
      RETURN_IF_ERROR(check(Dashed(name), flag->value, value));
  }
  for (const std::string& value : positionals_) {
    RETURN_IF_ERROR(check("an argument", positionals, value));
  }
  return absl::OkStatus();
}

absl::Status Args::ExpandPaths(absl::Span<const FlagSpec> flags, const char* home) {
  auto expand = [home](absl::string_view source, size_t begin, std::string& value) {
    const absl::StatusOr<std::string> path = ExpandHome(value.substr(begin), home);
    if (!path.ok()) {
      return UsageError(absl::StrCat(source, " is \"", value, "\"; ", path.status().message()));
    }
    value.replace(begin, value.npos, *path);
    return absl::OkStatus();
  };
  for (auto& [name, values] : values_) {
    const FlagSpec* flag = FindFlag(flags, name);
    const bool pair = absl::StrContains(flag->value, '=');  // NAME=REF
    if (!HoldsPath(absl::string_view(flag->value).substr(pair ? flag->value.find('=') : 0)))
      continue;
    for (std::string& value : values) {
      const size_t equals = value.find('=');
      if (pair && equals == value.npos) continue;
      RETURN_IF_ERROR(expand(Dashed(name), pair ? equals + 1 : 0, value));
    }
  }
  for (std::string& value : positionals_) RETURN_IF_ERROR(expand("an argument", 0, value));
  return absl::OkStatus();
}

std::vector<std::string> Args::All(absl::string_view flag) const {
  auto found = values_.find(std::string(flag));
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::string Args::Get(absl::string_view flag) const {
  std::vector<std::string> all = All(flag);
  return all.empty() ? "" : all[0];
}

absl::StatusOr<int64_t> Args::Integer(absl::string_view flag, int64_t if_absent, int64_t min,
                                      int64_t max) const {
  if (!Has(flag)) return if_absent;
  int64_t value = 0;
  if (!absl::SimpleAtoi(Get(flag), &value) || value < min || value > max) {
    return UsageError(absl::StrCat(Dashed(flag), " is \"", Get(flag), "\"; an integer of ", min,
                                   "..", max, " is allowed"));
  }
  return value;
}

absl::StatusOr<absl::Duration> Args::Duration(absl::string_view flag,
                                              absl::Duration if_absent) const {
  if (!Has(flag)) return if_absent;
  absl::Duration value;
  if (!absl::ParseDuration(Get(flag), &value) || value < absl::ZeroDuration()) {
    return UsageError(absl::StrCat(Dashed(flag), " is \"", Get(flag),
                                   "\"; a time with a unit is needed: 500ms, 30s, 1h30m"));
  }
  return value;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> Args::Pairs(
    absl::string_view flag) const {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& text : All(flag)) {
    size_t equals = text.find('=');
    if (equals == text.npos || equals == 0) {
      return UsageError(absl::StrCat(Dashed(flag), " is \"", text, "\"; it is written NAME=VALUE"));
    }
    pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return pairs;
}

}  // namespace radiograph::cli
