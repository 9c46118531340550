#include "core/base/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

constexpr const char* kOwnMachine[] = {"127.0.0.1:7433", "127.9.9.9:1", "localhost:0", "[::1]:80"};
constexpr const char* kOthers[] = {"0.0.0.0:7433", "[::]:80", "10.0.0.1:1", "example.org:80",
                                   "127.0.0.1.evil.org:80"};

TEST(Address, KnowsLoopback) {
  for (const char* address : kOwnMachine) EXPECT_TRUE(IsLoopback(address)) << address;
  for (const char* address : kOthers) EXPECT_FALSE(IsLoopback(address)) << address;
}

TEST(Address, ATokenCrossesNoNetworkWithoutTls) {
  for (const char* address : kOwnMachine) EXPECT_OK(CheckTokenIsSafe(address, false, false));
  EXPECT_OK(CheckTokenIsSafe("unix:/run/radiograph", false, false));
  for (const char* address : kOthers) {
    EXPECT_THAT(CheckTokenIsSafe(address, false, false),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(address)));
    EXPECT_OK(CheckTokenIsSafe(address, /*tls=*/true, false));
    EXPECT_OK(CheckTokenIsSafe(address, false, /*insecure=*/true));
  }
}

}  // namespace
}  // namespace radiograph
