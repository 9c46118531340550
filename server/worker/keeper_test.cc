#include "server/worker/keeper.h"

#include <unistd.h>

#include <thread>

#include "core/base/digest.h"
#include "core/base/file.h"
#include "server/worker/fake_server.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::Contains;
using ::testing::HasSubstr;

class LeaseKeeperTest : public ::testing::Test {
 protected:
  LeaseKeeperTest() : transfer_(server_.Channel(), "secret") {
    // A slot asks, so that there is a lease.
    v1::Lease lease;
    lease.set_job("j1");
    server_.Enqueue(lease);
    v1::SynchronizeRequest request;
    request.set_slot("w/cpu");
    request.set_state(v1::IDLE);
    grpc::ClientContext context;
    v1::SynchronizeResponse response;
    EXPECT_TRUE(
        v1::Workers::NewStub(server_.Channel())->Synchronize(&context, request, &response).ok());
    lease_ = response.lease();
    EXPECT_OK(WriteFile(folder_.path() + "/save", "state"));
  }
  LeaseKeeper Make(absl::Duration time_max = absl::Minutes(1)) {
    return LeaseKeeper({.lease = lease_, .slot = "w/cpu", .token = "secret", .time_max = time_max},
                       server_.Channel(), &transfer_, &blobs_);
  }
  absl::Status Save(LeaseKeeper keeper, std::stop_token stop = {}) {
    return keeper.Save(kName, folder_.path() + "/save", stop);
  }
  absl::Status Load(LeaseKeeper keeper, std::stop_token stop = {}) {
    return keeper.Load(kName, Loaded(), stop);
  }
  std::string Loaded() const { return folder_.path() + "/load"; }

  static inline const KeptName kName = {.key = "k", .memo = ""};
  TemporaryFolder folder_ = TemporaryFolder::Make().value();
  FakeServer server_;
  BlobTransfer transfer_;
  // As the store's own files.
  LocalBlobSource blobs_{
      [this](const std::string& sha256, const std::stop_token&) -> absl::StatusOr<std::string> {
        const std::string path = folder_.path() + "/blob";
        unlink(path.c_str());
        const std::string bytes = server_.blob(sha256);
        if (bytes.empty()) return absl::NotFoundError("no such blob");
        absl::Status written = WriteFile(path, damaged_ ? bytes + "?" : bytes);
        if (!written.ok()) return written;
        return path;
      }};
  bool damaged_ = false;
  v1::Lease lease_;
};

TEST_F(LeaseKeeperTest, WhatIsSavedIsFoundAgain) {
  EXPECT_THAT(Load(Make()), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
  ASSERT_OK(Save(Make()));
  EXPECT_EQ(server_.kept("k").sha256(), Sha256Hex("state"));
  EXPECT_EQ(server_.kept("k").size(), 5);
  for (int i = 0; i < 2; ++i) {  // in place of a file that was left there
    ASSERT_OK(Load(Make()));
    EXPECT_EQ(*ReadFile(Loaded(), 100), "state");
  }
  EXPECT_THAT(server_.tokens(), Contains("Bearer secret"));
}

TEST_F(LeaseKeeperTest, DamageOnTheWayIsFound) {
  ASSERT_OK(Save(Make()));
  damaged_ = true;
  EXPECT_THAT(Load(Make()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(Sha256Hex("state"))));
}

TEST_F(LeaseKeeperTest, OnlyTheHolderOfTheLeaseMay) {
  server_.TakeAway("j1");
  EXPECT_THAT(Save(Make()), StatusIs(absl::StatusCode::kAborted, HasSubstr("another's")));
  EXPECT_THAT(Load(Make()), StatusIs(absl::StatusCode::kAborted, HasSubstr("another's")));
}

TEST_F(LeaseKeeperTest, AServerThatIsAwayOrSilentIsNotWaitedForForEver) {
  server_.AnswerKeeping({grpc::StatusCode::UNAVAILABLE, "starting"});
  const absl::Duration kShort = absl::Milliseconds(100);
  EXPECT_THAT(Save(Make(kShort)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("100ms")));
  EXPECT_THAT(Load(Make(kShort)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("100ms")));
  server_.AnswerKeeping(grpc::Status::OK);
  EXPECT_OK(Save(Make()));
  server_.HangKeeping();
  EXPECT_THAT(Save(Make(kShort)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("100ms")));
}

TEST_F(LeaseKeeperTest, AStopEndsACallThatHangs) {
  server_.HangKeeping();
  std::stop_source stop;
  std::jthread stopper([&] {
    EXPECT_TRUE(server_.AwaitHanging());
    stop.request_stop();
  });
  EXPECT_THAT(Save(Make(), stop.get_token()),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("")));
}

}  // namespace
}  // namespace radiograph
