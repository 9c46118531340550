#include "core/base/log.h"

#include <unistd.h>

#include "absl/time/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"

namespace radiograph {

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

void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  std::string line = LogLine(absl::Now(), level, event, fields);
  line.push_back('\n');
  static_cast<void>(WriteAll(STDERR_FILENO, line, "stderr"));
}

}  // namespace radiograph
