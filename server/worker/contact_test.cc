#include "server/worker/contact.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_split.h"
#include "core/base/json.h"
#include "tests/support/fake_clock.h"

namespace radiograph {
namespace {

class ContactTest : public ::testing::Test {
 protected:
  ContactTest() { ::testing::internal::CaptureStderr(); }
  ~ContactTest() override { ::testing::internal::GetCapturedStderr(); }

  void Miss(const std::string& slot) {
    contact_.Missed(slot, absl::UnavailableError("Connection refused"));
  }
  // What was logged since the last call.
  std::vector<Json> Lines() {
    std::vector<Json> lines;
    for (absl::string_view line :
         absl::StrSplit(::testing::internal::GetCapturedStderr(), '\n', absl::SkipEmpty())) {
      lines.push_back(Json::parse(line));
    }
    ::testing::internal::CaptureStderr();
    return lines;
  }

  testing::FakeClock clock_;
  Contact contact_{"127.0.0.1:7433", &clock_};
};

TEST_F(ContactTest, TellsWhereWhyAndForHowLong) {
  Miss("w/cpu");
  std::vector<Json> lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["event"], "server_away");
  EXPECT_EQ(lines[0]["level"], "warning");
  EXPECT_EQ(lines[0]["server"], "127.0.0.1:7433");
  EXPECT_EQ(lines[0]["error"], "UNAVAILABLE: Connection refused");
  clock_.Advance(absl::Seconds(12));
  contact_.Reached("w/cpu");
  lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["event"], "server_back");
  EXPECT_EQ(lines[0]["away_seconds"], 12);
}

TEST_F(ContactTest, TellsOnceAMinuteThatItIsStillAway) {
  for (int second = 0; second < 600; ++second) {
    Miss("w/cpu");
    clock_.Advance(absl::Seconds(1));
  }
  const std::vector<Json> lines = Lines();
  ASSERT_EQ(lines.size(), 10u);
  EXPECT_EQ(lines[9]["away_seconds"], 540);
}

TEST_F(ContactTest, SetWallClockChangesNeitherRateNorSeconds) {
  Miss("w/cpu");
  for (absl::Duration jump : {absl::Hours(24), -absl::Hours(48)}) {
    clock_.Jump(jump);
    Miss("w/cpu");
  }
  EXPECT_EQ(Lines().size(), 1u);
  clock_.Advance(absl::Seconds(5));
  contact_.Reached("w/cpu");
  EXPECT_EQ(Lines()[0]["away_seconds"], 5);
}

TEST_F(ContactTest, AllSlotsTellItTogether) {
  for (const char* slot : {"w/GPU-1", "w/GPU-2", "w/GPU-3"}) Miss(slot);
  EXPECT_EQ(Lines().size(), 1u);
  contact_.Reached("w/GPU-1");
  contact_.Reached("w/GPU-1");
  contact_.Reached("w/GPU-3");
  EXPECT_EQ(Lines().size(), 0u);
  contact_.Reached("w/GPU-2");
  EXPECT_EQ(Lines().size(), 1u);
}

TEST_F(ContactTest, ServerThatComesAndGoesDoesNotFillTheLog) {
  for (int second = 0; second < 60; ++second) {
    Miss("w/cpu");
    contact_.Reached("w/cpu");
    clock_.Advance(absl::Seconds(1));
  }
  EXPECT_EQ(Lines().size(), 12u);  // two every ten seconds
}

TEST_F(ContactTest, AnsweredCallsOfAServerThatWasNotAwayAreNoNews) {
  contact_.Reached("w/cpu");
  EXPECT_EQ(Lines().size(), 0u);
}

}  // namespace
}  // namespace radiograph
