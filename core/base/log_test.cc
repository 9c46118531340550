#include "core/base/log.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
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

TEST(Log, OfALibraryNoSecretIsWritten) {
  constexpr char kLeftOut[] = "[left out: it may hold a secret]";
  struct Case {
    std::string given, written;
  };
  for (const Case& c :
       {Case{"validate_metadata: UNKNOWN:Illegal header value {raw_bytes:\"42 65 61\"",
             absl::StrCat("validate_metadata: UNKNOWN:Illegal header value {", kLeftOut)},
        {"HTTP:1:HDR:CLI: Authorization: Bearer secret",
         absl::StrCat("HTTP:1:HDR:CLI: ", kLeftOut)},
        {"value 'Bearer secret'", absl::StrCat("value '", kLeftOut)},
        {"WRITE 0x5f: 50 52 49 20 2a 'PRI *'", absl::StrCat("WRITE 0x5f: ", kLeftOut)},
        {"73 65 63 72", kLeftOut},
        {"Handshake failed with fatal error SSL_ERROR_SSL: error:0A00010B, 12 34 times",
         "Handshake failed with fatal error SSL_ERROR_SSL: error:0A00010B, 12 34 times"},
        {"", ""}}) {
    EXPECT_EQ(WithoutSecrets(c.given), c.written);
  }
}

}  // namespace
}  // namespace radiograph
