#include "server/rpc/door.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "radiograph/v1/analyses.pb.h"
#include "radiograph/v1/blobs.pb.h"
#include "radiograph/v1/jobs.pb.h"
#include "radiograph/v1/workers.pb.h"
#include "server/rpc/status.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

TEST(Door, EveryMethodHasExactlyOneRule) {
  std::multiset<std::string> ruled, there;
  for (const Rule& rule : Rules()) ruled.emplace(rule.method);
  for (const auto* file : {v1::GetInfoRequest::descriptor()->file(), v1::Blob::descriptor()->file(),
                           v1::Artifact::descriptor()->file(), v1::Analysis::descriptor()->file(),
                           v1::Job::descriptor()->file(), v1::Worker::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        there.insert(
            absl::StrCat(file->service(s)->name(), ".", file->service(s)->method(m)->name()));
      }
    }
  }
  EXPECT_EQ(ruled, there);
}

TEST(Door, WhoMayNotComeInTakesNoPlace) {
  const Authorization authorization(nullptr, "secret");
  Door door({.calls_max = 1}, &authorization);
  EXPECT_THAT(door.Enter("Jobs.Create", "Bearer secret"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("Jobs.Create")));
  absl::StatusOr<Door::Entry> entry = door.Enter("Workers.List", "");
  ASSERT_OK(entry);
  EXPECT_EQ(entry->caller().tenant, kDefaultTenant);
}

TEST(Door, PastTheLimitCallsAreAskedToComeBack) {
  const Authorization authorization(nullptr, "secret");
  Door door({.calls_max = 2, .blob_streams_max = 1, .waits_max = 1}, &authorization);
  std::optional<Door::Entry> stream(*door.Enter("Blobs.Write", ""));
  absl::Status status = door.Enter("Blobs.Read", "").status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1 blob streams")));
  EXPECT_TRUE(RetryOf(status).has_value());
  std::optional<Door::Entry> call(*door.Enter("Jobs.Get", ""));
  EXPECT_THAT(door.Enter("Jobs.Get", ""),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("2 calls")));
  std::optional<Door::Entry> wait(*door.Enter("Jobs.Watch", ""));
  EXPECT_THAT(door.Enter("Jobs.Wait", ""),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1 waits")));
  stream.reset();
  wait.reset();
  EXPECT_OK(door.Enter("Blobs.Read", "")) << "a place that was left is free";
  EXPECT_OK(door.Enter("Jobs.Wait", ""));
}

}  // namespace
}  // namespace radiograph
