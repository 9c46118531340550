#include "server/rpc/rpc_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(RpcMetrics, CountsByMethodAndCode) {
  prometheus::Registry registry;
  RpcMetrics metrics(registry);
  metrics.Handled("/radiograph.v1.Jobs/Create", "unary", 0, absl::Milliseconds(3));
  metrics.Handled("/radiograph.v1.Jobs/Create", "unary", 0, absl::Milliseconds(30));
  metrics.Handled("/radiograph.v1.Jobs/Create", "unary", 3, absl::Milliseconds(1));
  const std::string text = prometheus::TextSerializer().Serialize(registry.Collect());
  const std::string create =
      R"(grpc_method="Create",grpc_service="radiograph.v1.Jobs",grpc_type="unary")";
  EXPECT_THAT(text,
              AllOf(HasSubstr("grpc_server_handled_total{grpc_code=\"OK\"," + create + "} 2\n"),
                    HasSubstr("grpc_code=\"InvalidArgument\"," + create + "} 1\n"),
                    HasSubstr("grpc_server_handling_seconds_count{" + create + "} 3\n"),
                    HasSubstr("_bucket{" + create + ",le=\"0.005\"} 2\n")));
}

TEST(RpcMetrics, EveryCodeHasAName) {
  EXPECT_STREQ(GrpcCodeName(0), "OK");
  EXPECT_STREQ(GrpcCodeName(1), "Canceled");
  EXPECT_STREQ(GrpcCodeName(8), "ResourceExhausted");
  EXPECT_STREQ(GrpcCodeName(16), "Unauthenticated");
  EXPECT_STREQ(GrpcCodeName(17), "Unknown");
  EXPECT_STREQ(GrpcCodeName(-1), "Unknown");
}

}  // namespace
}  // namespace radiograph
