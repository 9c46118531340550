#include "core/base/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::StatusIs;

constexpr const char* kOwnMachine[] = {"127.0.0.1:7433", "127.9.9.9:1", "localhost:0", "[::1]:80"};
constexpr const char* kOthers[] = {"0.0.0.0:7433", "[::]:80", "10.0.0.1:1", "example.org:80",
                                   "127.0.0.1.evil.org:80"};

TEST(Address, KnowsLoopback) {
  for (const char* address : kOwnMachine) EXPECT_TRUE(IsLoopback(address)) << address;
  for (const char* address : kOthers) EXPECT_FALSE(IsLoopback(address)) << address;
}

TEST(Address, AnEndpointIsTakenAsPeopleWriteIt) {
  const std::pair<const char*, const char*> cases[] = {
      {"h:7433", "h:7433"},
      {"h", "h:7433"},
      {"localhost", "localhost:7433"},
      {"127.0.0.1", "127.0.0.1:7433"},
      {" host_2.example-1.org:65535\r\n", "host_2.example-1.org:65535"},
      {"[::1]:80", "[::1]:80"},
      {"[::1]", "[::1]:7433"},
      {"::1", "[::1]:7433"},
      {"2001:db8::2", "[2001:db8::2]:7433"},
      {"[fe80::1%eth0]:7433", "[fe80::1%eth0]:7433"},
      {"dns:///h:1", "h:1"},
      {"dns:h", "h:7433"},
      {"unix:/run/radiograph", "unix:/run/radiograph"},
      {"unix:///run/radiograph", "unix:///run/radiograph"},
      {"unix:socket", "unix:socket"},
      {"unix-abstract:radiograph", "unix-abstract:radiograph"}};
  for (const auto& [given, meant] : cases) {
    const absl::StatusOr<std::string> endpoint = ParseEndpoint("--endpoint", given);
    ASSERT_OK(endpoint) << given;
    EXPECT_EQ(*endpoint, meant);
  }
}

TEST(Address, WhatIsNoEndpointIsAnsweredWithTheFormThatIs) {
  const std::pair<const char*, const char*> cases[] = {
      {"http://h:7433", "is 'http://h:7433'; HOST:PORT is meant, without http://: h:7433"},
      {"https://h", "without https://: h:7433"},
      {"grpc://[::1]:1/", "without grpc://: [::1]:1"},
      {"HTTP://h/path?q=1", "without HTTP://: h:7433"},
      {"tcp://", "without tcp://"},
      {"h:7433/", "without a path"},
      {"h/x", "without a path"},
      {"", "HOST:PORT, [IPV6]:PORT or unix:PATH is meant"},
      {" ", "HOST:PORT"},
      {"h h:1", "HOST:PORT"},
      {"h:", "HOST:PORT"},
      {":7433", "HOST:PORT"},
      {"h:x", "a port is 1..65535"},
      {"h:0", "a port is 1..65535"},
      {"h:65536", "a port is 1..65535"},
      {"h:-1", "a port is 1..65535"},
      {"h:+1", "a port is 1..65535"},
      {"a:b:1", "[IPV6]:PORT"},
      {"[h]:1", "[IPV6]:PORT"},
      {"[::1", "[IPV6]:PORT"},
      {"[::1]x", "[IPV6]:PORT"},
      {"::1:7433", "[ADDRESS]:PORT"},
      {"2001:db8::2:7434", "[ADDRESS]:PORT"},
      {"h\xc3\xb6st:1", "is 'h\xc3\xb6st:1'"},
      {"h\n:1", "is 'h\\x0a:1'"},
      {"unix:", "unix:PATH"},
      {"unix://host/path", "unix:PATH"}};
  for (const auto& [given, message] : cases) {
    EXPECT_THAT(ParseEndpoint("--endpoint", given),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)))
        << given;
    EXPECT_THAT(std::string(ParseEndpoint("--endpoint", given).status().message()),
                StartsWith("--endpoint is"));
  }
}

TEST(Address, NoPasswordIsTold) {
  for (const char* given :
       {"user:hunter2@h:1", "https://user:hunter2@h:1", "http://hunter2@h", "user:hunter2@http://h",
        "https://u:hun@ter2hunter2@h/x", "https://u:1/hunter2@h", "https://u:p?hunter2@h",
        "https://h/?token=hunter2", "https://h/?token=x@hunter2", "http://h#hunter2",
        "hunter2@:x://"}) {
    const absl::Status status = ParseEndpoint("--endpoint", given).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("HOST:PORT")));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hunter2"))) << given;
  }
}

TEST(Address, ATokenCrossesNoNetworkWithoutTls) {
  for (const char* address : kOwnMachine) EXPECT_OK(CheckTokenIsSafe(address, false, false));
  EXPECT_OK(CheckTokenIsSafe("unix:/run/radiograph", false, false));
  EXPECT_OK(CheckTokenIsSafe("unix-abstract:radiograph", false, false));
  for (const char* address : kOthers) {
    EXPECT_THAT(CheckTokenIsSafe(address, false, false),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(address)));
    EXPECT_OK(CheckTokenIsSafe(address, /*tls=*/true, false));
    EXPECT_OK(CheckTokenIsSafe(address, false, /*insecure=*/true));
  }
}

}  // namespace
}  // namespace radiograph
