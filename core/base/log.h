// The log: one JSON object a line on stderr, written in one call so that lines never mix.
//   {"time":"2026-01-31T12:00:00.123456Z","level":"info","event":"job_created","job":"..."}
// Never log a token or the contents of an upload.
#ifndef RADIOGRAPH_CORE_BASE_LOG_H_
#define RADIOGRAPH_CORE_BASE_LOG_H_

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace radiograph {

enum class LogLevel { kInfo, kWarning, kError };

// A name and a value; numbers and booleans are written as such, all else as a string.
class LogField {
 public:
  LogField(absl::string_view name, absl::string_view text);
  LogField(absl::string_view name, const char* text) : LogField(name, absl::string_view(text)) {}
  LogField(absl::string_view name, const std::string& text)
      : LogField(name, absl::string_view(text)) {}
  LogField(absl::string_view name, bool value) : name_(name), json_(value ? "true" : "false") {}
  LogField(absl::string_view name, double value);
  template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  LogField(absl::string_view name, Integer value) : name_(name), json_(absl::StrCat(value)) {}

 private:
  friend std::string LogLine(absl::Time, LogLevel, absl::string_view,
                             std::initializer_list<LogField>);
  std::string name_;
  std::string json_;
};

// Safe for use from many threads. `event` is a fixed word in snake_case, not a sentence.
void Log(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields = {});

// The line without its end.
std::string LogLine(absl::Time time, LogLevel level, absl::string_view event,
                    std::initializer_list<LogField> fields);

// What a library wants to log, up to the first place that may hold a token or an upload: the word
// raw_bytes, authorization or Bearer, or a dump of bytes in hexadecimal.
std::string WithoutSecrets(absl::string_view foreign);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_LOG_H_
