#include "server/rpc/status.h"

#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/catalog/params.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::Eq;
using ::testing::SizeIs;
using testing::StatusIs;

absl::Status RoundTrip(const absl::Status& status) { return FromGrpc(ToGrpc(status)); }

TEST(GrpcStatus, OkIsOk) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_OK(RoundTrip(absl::OkStatus()));
}

TEST(GrpcStatus, CodeAndMessageSurvive) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "what is wrong");
    EXPECT_THAT(RoundTrip(status), StatusIs(status.code(), Eq("what is wrong")));
  }
}

TEST(GrpcStatus, ViolationsAreABadRequest) {
  const absl::Status status =
      RoundTrip(ViolationsStatus({{"params.k", "is 0"}, {"inputs.model", "is missing"}}));
  const std::vector<Violation> violations = ViolationsOf(status);
  ASSERT_THAT(violations, SizeIs(2));
  EXPECT_EQ(violations[1].field, "inputs.model");
  EXPECT_EQ(violations[1].description, "is missing");
  const google::rpc::Status rpc = ToRpcStatus(status);
  ASSERT_EQ(rpc.details_size(), 1);
  EXPECT_TRUE(rpc.details(0).Is<google::rpc::BadRequest>());
}

TEST(GrpcStatus, ReasonRetryAndQuotaSurvive) {
  const absl::Status status = RoundTrip(QuotaExceeded({.quota = Quota::kWaitsPerTenant,
                                                       .tenant = "vision",
                                                       .text = "3 of 3 are taken",
                                                       .retry = absl::Milliseconds(1500)}));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, Eq("3 of 3 are taken")));
  EXPECT_EQ(ReasonOf(status), "WAITS_PER_TENANT");
  EXPECT_EQ(RetryOf(status), absl::Milliseconds(1500));
  EXPECT_EQ(ToRpcStatus(status).details_size(), 3);
}

TEST(GrpcStatus, WithoutDetailsThereIsNoRetry) {
  EXPECT_EQ(RetryOf(absl::UnavailableError("x")), std::nullopt);
  EXPECT_EQ(ReasonOf(absl::UnavailableError("x")), "");
}

TEST(GrpcStatus, DetailsStayBelowTheirLimit) {
  std::vector<Violation> violations;
  for (int i = 0; i < 200; ++i) {
    violations.push_back({absl::StrCat("params.p", i), std::string(1000, 'x')});
  }
  const google::rpc::Status rpc =
      ToRpcStatus(WithRetry(ViolationsStatus(violations), absl::Seconds(1)));
  EXPECT_LE(rpc.ByteSizeLong(), static_cast<size_t>(kDetailsBytesMax));
  EXPECT_EQ(rpc.details_size(), 2) << "the retry stays, violations are cut";
  EXPECT_LE(ToGrpc(ViolationsStatus(violations)).error_details().size(),
            static_cast<size_t>(kDetailsBytesMax));
}

TEST(GrpcStatus, LongMessagesAreCutBetweenCharacters) {
  std::string message;
  while (message.size() < 5000) message += "\xE2\x82\xAC";  // three bytes each
  const google::rpc::Status rpc = ToRpcStatus(absl::InternalError(message));
  EXPECT_EQ(rpc.message().size(), static_cast<size_t>(kStatusMessageBytesMax) / 3 * 3);
}

TEST(GrpcStatus, BytesThatAreNotTextDoNotTravel) {
  EXPECT_EQ(ToRpcStatus(absl::InternalError("a\xFF")).message(), "(message is not UTF-8)");
}

}  // namespace
}  // namespace radiograph
