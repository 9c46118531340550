#include "core/compute/machine.h"

#include <vector>

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

TEST(Machine, QuotaOfTheControlGroupIsRoundedUp) {
  EXPECT_EQ(CoresOfCpuMax("200000 100000\n"), 2);
  EXPECT_EQ(CoresOfCpuMax("150000 100000\n"), 2);
  EXPECT_EQ(CoresOfCpuMax("10000 100000\n"), 1);
  EXPECT_EQ(CoresOfCpuMax("max 100000\n"), 0);
  EXPECT_EQ(CoresOfCpuMax(""), 0);
}

TEST(Machine, ThereIsACore) {
  EXPECT_GE(UsableCores(), 1);
}

TEST(Machine, PeakFollowsWhatIsUsedSinceTheReset) {
  ResetPeakHostBytes();
  int64_t before = PeakHostBytes();
  {
    std::vector<char> large(64 << 20, 1);
    EXPECT_EQ(large[large.size() / 2], 1);
  }
  int64_t after = PeakHostBytes();
  EXPECT_GE(after - before, 60 << 20);
  ResetPeakHostBytes();
  EXPECT_LT(PeakHostBytes(), after);
}

}  // namespace
}  // namespace radiograph
