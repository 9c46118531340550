#include "core/base/log.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"

namespace radiograph {
namespace {

TEST(Log, OneJsonObjectWithEscapedText) {
  EXPECT_EQ(
      LogLine(absl::FromUnixSeconds(0), LogLevel::kWarning, "upload_refused",
              {{"reason", "a \"quote\"\nand a line"},
               {"bytes", 12},
               {"seconds", 0.5},
               {"again", true}}),
      "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"warning\",\"event\":\"upload_"
      "refused\","
      "\"reason\":\"a \\\"quote\\\"\\nand a line\",\"bytes\":12,\"seconds\":0.5,\"again\":true}");
}

TEST(Log, BytesThatAreNotTextAreNotWritten) {
  EXPECT_NE(
      LogLine(absl::UnixEpoch(), LogLevel::kInfo, "x", {{"name", "\xff"}}).find("(not UTF-8)"),
      std::string::npos);
}

}  // namespace
}  // namespace radiograph
