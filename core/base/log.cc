#include "core/base/log.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"

namespace radiograph {
namespace {

// Where "42 65 61 72", as gRPC writes bytes, begins; npos when there is no such thing.
size_t FindDump(absl::string_view text) {
  constexpr int kPairsMin = 4;
  auto is_alnum = [&](size_t i) { return i < text.size() && absl::ascii_isalnum(text[i]); };
  int pairs = 0;
  for (size_t i = 0; i + 1 < text.size();) {
    const bool pair = absl::ascii_isxdigit(text[i]) && absl::ascii_isxdigit(text[i + 1]) &&
                      !is_alnum(i + 2) && (i == 0 || !is_alnum(i - 1));
    pairs = pair ? pairs + 1 : 0;
    if (pairs == kPairsMin) return i - 3 * (kPairsMin - 1);
    i += pair ? 3 : 1;
  }
  return text.npos;
}

}  // namespace

LogField::LogField(absl::string_view name, absl::string_view text)
    : name_(name), json_(IsUtf8(text) ? JsonString(text) : "\"(not UTF-8)\"") {}

LogField::LogField(absl::string_view name, double value) : name_(name), json_(JsonNumber(value)) {}

std::string LogLine(absl::Time time, LogLevel level, absl::string_view event,
                    std::initializer_list<LogField> fields) {
  const char* name = level == LogLevel::kInfo      ? "info"
                     : level == LogLevel::kWarning ? "warning"
                                                   : "error";
  std::string line = absl::StrCat(
      "{\"time\":\"", absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone()),
      "\",\"level\":\"", name, "\",\"event\":", JsonString(event));
  for (const LogField& field : fields) {
    absl::StrAppend(&line, ",", JsonString(field.name_), ":", field.json_);
  }
  line.push_back('}');
  return line;
}

std::string WithoutSecrets(absl::string_view foreign) {
  const std::string lower = absl::AsciiStrToLower(foreign);
  size_t end = FindDump(lower);
  for (const char* word : {"raw_bytes", "authorization", "bearer"}) {
    end = std::min(end, lower.find(word));
  }
  if (end == lower.npos) return std::string(foreign);
  return absl::StrCat(foreign.substr(0, end), "[left out: it may hold a secret]");
}

void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  std::string line = LogLine(absl::Now(), level, event, fields);
  line.push_back('\n');
  static_cast<void>(WriteAll(STDERR_FILENO, line, "stderr"));
}

}  // namespace radiograph
