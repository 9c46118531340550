#include "server/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

TEST(ServerOptions, WhatOthersCanReachNeedsInsecure) {
  ServerOptions options{.listen = "0.0.0.0:7433", .state = "s"};
  EXPECT_THAT(CheckOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--listen is '0.0.0.0:7433'"), HasSubstr("--insecure"))));
  options.insecure = true;
  EXPECT_OK(CheckOptions(options));
  options = {.http = "[::]:80", .state = "s"};
  EXPECT_THAT(CheckOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--http")));
  options.http = "none";
  EXPECT_OK(CheckOptions(options));
}

TEST(ServerOptions, TlsAndTokensTogetherOpenIt) {
  ServerOptions options{.listen = "0.0.0.0:7433", .http = "[::]:80", .state = "s"};
  options.tokens_file = "tokens";
  EXPECT_THAT(CheckOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--tls-cert")));
  options.tls_cert = "cert";
  EXPECT_THAT(CheckOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("together")));
  options.tls_key = "key";
  EXPECT_OK(CheckOptions(options));
  options.tokens_file = "";
  EXPECT_THAT(CheckOptions(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--tokens-file")));
  EXPECT_THAT(CheckOptions({.state = "s", .tls_client_ca = "ca"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--tls-client-ca needs")));
}

TEST(ServerOptions, AddressesHaveAPort) {
  for (const char* address : {"127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "localhost:70000", ":80"}) {
    EXPECT_THAT(CheckOptions({.listen = address, .state = "s"}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("HOST:PORT")))
        << address;
  }
}

TEST(ServerOptions, UploadsAreKeptAnHourOrForEver) {
  for (const absl::Duration keep : {absl::Seconds(1), absl::Minutes(59)}) {
    EXPECT_THAT(CheckOptions({.state = "s", .keep_blobs = keep}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--keep-blobs")));
  }
  for (const absl::Duration keep : {absl::ZeroDuration(), absl::Hours(1)}) {
    EXPECT_OK(CheckOptions({.state = "s", .keep_blobs = keep}));
  }
}

TEST(ServerOptions, FlagsSetThem) {
  ServerOptions options;
  options.state = "/default";
  Flags flags("radiographd", "");
  AddFlags(options, flags);
  const char* arguments[] = {"--devices=none", "--lease=1s", "--grace=0s", "--state", "/s",
                             "--keep-jobs=7d", "--keep-memos=2d"};
  ASSERT_OK(flags.Parse(arguments, [](const char*) { return nullptr; }));
  EXPECT_EQ(options.devices, "none");
  EXPECT_EQ(options.lease, absl::Seconds(1));
  EXPECT_EQ(options.grace, absl::ZeroDuration());
  EXPECT_EQ(options.keep_jobs, absl::Hours(7 * 24));
  EXPECT_EQ(options.keep_memos, absl::Hours(2 * 24));
  EXPECT_EQ(options.state, "/s");
  EXPECT_OK(CheckOptions(options));
}

}  // namespace
}  // namespace radiograph
