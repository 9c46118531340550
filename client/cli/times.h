// Times and durations for people.
#ifndef RADIOGRAPH_CLIENT_CLI_TIMES_H_
#define RADIOGRAPH_CLIENT_CLI_TIMES_H_

#include <google/protobuf/timestamp.pb.h>

#include <string>

#include "absl/time/time.h"

namespace radiograph::cli {

inline absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

// "2026-01-31 12:00:00" in local time; "" when it isn't set.
inline std::string TimeText(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", ToTime(time), absl::LocalTimeZone());
}

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_TIMES_H_
