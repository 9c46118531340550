#include "server/rpc/door.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "radiograph/v1/analyses.pb.h"
#include "radiograph/v1/blobs.pb.h"
#include "radiograph/v1/jobs.pb.h"
#include "radiograph/v1/workers.pb.h"
#include "server/rpc/status.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
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
  EXPECT_EQ(ReasonOf(status), "BLOB_STREAMS");
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

TEST(Door, OneTenantCannotTakeAllStreamsAndWaits) {
  ASSERT_OK_AND_ASSIGN(TemporaryFolder folder, TemporaryFolder::Make());
  ASSERT_OK(WriteFile(folder.path() + "/tokens", absl::StrCat(Sha256Hex("a"), " a submit a\n",
                                                              Sha256Hex("b"), " b submit b\n")));
  ASSERT_OK_AND_ASSIGN(auto tokens, Tokens::Open(folder.path() + "/tokens"));
  const Authorization authorization(tokens.get(), "secret");
  Door door({.blob_streams_max = 4,
             .blob_streams_per_tenant_max = 1,
             .waits_max = 4,
             .waits_per_tenant_max = 1},
            &authorization);
  std::optional<Door::Entry> stream(*door.Enter("Blobs.Write", "Bearer a"));
  std::optional<Door::Entry> wait(*door.Enter("Jobs.Watch", "Bearer a"));
  for (const auto& [method, reason] : {std::pair("Blobs.Read", "BLOB_STREAMS_PER_TENANT"),
                                       std::pair("Jobs.Wait", "WAITS_PER_TENANT")}) {
    const absl::Status refused = door.Enter(method, "Bearer a").status();
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                  AllOf(HasSubstr("tenant a has 1"), HasSubstr("at most 1"))));
    EXPECT_EQ(ReasonOf(refused), reason);
    EXPECT_TRUE(RetryOf(refused).has_value());
    EXPECT_OK(door.Enter(method, "Bearer b"));
  }
  EXPECT_EQ(door.InsideOf("a").blob_streams, 1);
  EXPECT_EQ(door.InsideOf("a").waits, 1);
  EXPECT_EQ(door.InsideOf("a").calls, 1) << "a stream is a call";
  EXPECT_EQ(door.InsideOf("other").waits, 0);
  stream.reset();
  wait.reset();
  EXPECT_EQ(door.InsideOf("a").calls, 0);
}

TEST(Door, ACrowdOfClientsKeepsNoWorkerOut) {
  const Authorization authorization(nullptr, "secret");
  Door door({.calls_max = 1, .blob_streams_max = 1, .waits_max = 1}, &authorization);
  std::optional<Door::Entry> stream(*door.Enter("Blobs.Write", ""));
  std::optional<Door::Entry> wait(*door.Enter("Jobs.Watch", ""));
  EXPECT_OK(door.Enter("Workers.Synchronize", "")) << "whoever calls it";
  EXPECT_OK(door.Enter("Blobs.Write", "Bearer secret"));
  std::optional<Door::Entry> worker(*door.Enter("Blobs.Write", "Bearer secret"));
  EXPECT_EQ(ReasonOf(door.Enter("Blobs.FindMissing", "Bearer secret").status()), "CALLS");
}

}  // namespace
}  // namespace radiograph
