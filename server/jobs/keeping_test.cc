// Workers.Save and Workers.Load: what a running job keeps.
#include <functional>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/process/keeper.h"
#include "server/jobs/jobs_fixture.h"
#include "server/store/collector.h"

namespace radiograph {
namespace {

using ::radiograph::testing::JobsFixture;
using ::radiograph::testing::StatusIs;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class KeepingTest : public JobsFixture {
 protected:
  v1::SaveRequest SaveOf(const v1::Lease& lease, const std::string& bytes) {
    v1::SaveRequest request;
    request.set_lease_token(lease.token());
    request.set_key("null");
    *request.mutable_blob() = *store_->blobs->PutBytes(kEveryTenant, bytes);
    return request;
  }
  absl::Status Save(const v1::Lease& lease, const std::string& bytes) {
    return jobs_->Save(SaveOf(lease, bytes));
  }
  absl::Status SaveMemo(const v1::Lease& lease, const std::string& of, const std::string& bytes) {
    v1::SaveRequest request = SaveOf(lease, bytes);
    request.clear_key();
    request.set_memo(Sha256Hex(of));
    return jobs_->Save(request);
  }
  // The digest of what is kept, empty for nothing; or the code of the error.
  std::string Load(const v1::Lease& lease, const std::string& memo_of = "") {
    v1::LoadRequest request;
    request.set_lease_token(lease.token());
    if (memo_of.empty()) {
      request.set_key("null");
    } else {
      request.set_memo(Sha256Hex(memo_of));
    }
    auto response = jobs_->Load(request);
    if (!response.ok()) return absl::StatusCodeToString(response.status().code());
    return response->blob().sha256();
  }
  std::string CreateSame() {
    auto made = jobs_->Create({}, Resolved("key"));
    EXPECT_OK(made);
    Settle();
    return made.ok() ? made->job().id() : "";
  }
  int64_t KeptStates() {
    int64_t count = -1;
    EXPECT_OK(store_->database->Read([&](Connection& connection) {
      Statement& rows = connection.Prepare("SELECT count(*) FROM kept_state");
      EXPECT_TRUE(rows.Step().value());
      count = rows.Int(0);
      return absl::OkStatus();
    }));
    return count;
  }
  void ExpectAborted(const v1::Lease& lease) {
    EXPECT_THAT(Save(lease, "late"), StatusIs(absl::StatusCode::kAborted, HasSubstr("lease")));
    EXPECT_THAT(SaveMemo(lease, "m", "late"),
                StatusIs(absl::StatusCode::kAborted, HasSubstr("lease")));
    EXPECT_EQ(Load(lease), "ABORTED");
  }
};

TEST_F(KeepingTest, TheNextAttemptGoesOnFromTheLastState) {
  // How an attempt ends without an end of the job.
  const std::pair<std::string, std::function<void(const v1::Lease&)>> kEnds[] = {
      {"crashed", [this](const auto& lease) { ASSERT_OK(Ask(Done(lease, "CRASHED"))); }},
      {"drained", [this](const auto& lease) { ASSERT_OK(Ask(Done(lease, "PREEMPTED"))); }},
      {"lost", [this](const auto&) { Advance(options_.lease_term + absl::Seconds(1)); }},
      {"server's own slot, killed with it", [this](const auto&) { Restart(); }},
  };
  for (const auto& [name, end] : kEnds) {
    SCOPED_TRACE(name);
    embedded_ = name.starts_with("server");
    const std::string id = Create();
    const v1::Lease first = Take();
    EXPECT_EQ(Load(first), "");
    ASSERT_OK(Save(first, "half of it"));
    ASSERT_OK(Save(first, "more of it"));
    end(first);
    const v1::Lease second = Take();
    ASSERT_EQ(second.job(), id);
    ExpectAborted(first);
    EXPECT_EQ(Load(second), Sha256Hex("more of it"));
    EXPECT_THAT(Messages(id), Contains("attempt 2: goes on from 'null' of attempt 1"));
    ASSERT_OK(Ask(Done(second, "SUCCEEDED")));
    EXPECT_EQ(KeptStates(), 0);
  }
}

TEST_F(KeepingTest, ALeaseThatOutlivesTheServerKeepsOnSaving) {
  const std::string id = Create();
  const v1::Lease lease = Take();
  ASSERT_OK(Save(lease, "1"));
  Restart();
  EXPECT_EQ(Load(lease), Sha256Hex("1"));
  ASSERT_OK(Save(lease, "2"));
  EXPECT_THAT(Messages(id), Not(Contains(HasSubstr("goes on"))));  // it never stopped
}

TEST_F(KeepingTest, AnyEndOfTheJobDropsItsState) {
  for (const char* outcome : {"SUCCEEDED", "FAILED", "OUT_OF_MEMORY", "CANCELLED"}) {
    const std::string id = Create();
    const v1::Lease lease = Take();
    ASSERT_OK(Save(lease, "state"));
    EXPECT_EQ(KeptStates(), 1);
    if (outcome == std::string("CANCELLED")) {
      EXPECT_OK(jobs_->Cancel(Key(id)));
    }
    ASSERT_OK(Ask(Done(lease, outcome)));
    EXPECT_EQ(KeptStates(), 0) << outcome;
    ExpectAborted(lease);
  }
  const std::string id = Create();
  const v1::Lease lease = Take();
  ASSERT_OK(Save(lease, "state"));
  ASSERT_OK(Ask(Done(lease, "PREEMPTED")));
  EXPECT_EQ(KeptStates(), 1);
  ASSERT_OK(jobs_->Cancel(Key(id)));  // while it waits
  EXPECT_EQ(KeptStates(), 0);
}

TEST_F(KeepingTest, StateGoesWithTheRunToTheJobThatTakesItOver) {
  const std::string first = CreateSame(), second = CreateSame(), third = CreateSame();
  v1::Lease lease = Take();
  ASSERT_OK(Save(lease, "1"));
  ASSERT_OK(jobs_->Cancel(Key(first)));  // while it runs
  EXPECT_EQ(Load(lease), Sha256Hex("1"));
  ASSERT_OK(Save(lease, "2"));
  ASSERT_OK(Ask(Done(lease, "CRASHED")));
  ASSERT_OK(jobs_->Cancel(Key(second)));  // while it waits for its second attempt
  lease = Take();
  ASSERT_EQ(lease.job(), third);
  EXPECT_EQ(Load(lease), Sha256Hex("2"));
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  EXPECT_EQ(KeptStates(), 0);
}

TEST_F(KeepingTest, AnotherEngineStartsOver) {
  Create();
  const v1::Lease first = Take();
  ASSERT_OK(Save(first, "of one thread"));
  ASSERT_OK(Ask(Done(first, "CRASHED")));
  v1::SynchronizeRequest other = Slot("w/cpu", v1::IDLE);
  other.mutable_engine()->set_threads(2);
  ASSERT_OK_AND_ASSIGN(auto answer, Ask(other));
  EXPECT_EQ(Load(answer.lease()), "");
}

TEST_F(KeepingTest, AMemoServesOtherJobsOfItsTenant) {
  Create();
  v1::Lease lease = Take();
  EXPECT_EQ(Load(lease, "m"), "");
  ASSERT_OK(SaveMemo(lease, "m", "part"));
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  Restart();
  Create();
  lease = Take();
  EXPECT_EQ(Load(lease, "m"), Sha256Hex("part"));
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  ResolvedJob others = Resolved();
  others.job.set_tenant("other");
  ASSERT_OK(jobs_->Create({}, others));
  Settle();
  EXPECT_EQ(Load(Take(), "m"), "");
}

TEST_F(KeepingTest, WrongRequestsAreRefused) {
  Create();
  const v1::Lease lease = Take();
  const v1::SaveRequest right = SaveOf(lease, "state");
  v1::SaveRequest wrong = right;
  wrong.clear_key();
  EXPECT_THAT(jobs_->Save(wrong), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key")));
  wrong = right;
  wrong.set_memo(Sha256Hex("m"));
  EXPECT_THAT(jobs_->Save(wrong), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("both")));
  wrong = right;
  wrong.set_key("../null");
  EXPECT_THAT(jobs_->Save(wrong),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("../null")));
  wrong = right;
  wrong.set_key(std::string(kKeptKeyBytesMax + 1, 'k'));
  EXPECT_THAT(jobs_->Save(wrong), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1..64")));
  wrong = right;
  wrong.mutable_blob()->set_size(kKeptBytesMax + 1);
  EXPECT_THAT(jobs_->Save(wrong),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1073741824")));
  wrong = right;
  wrong.mutable_blob()->set_sha256(Sha256Hex("not uploaded"));
  EXPECT_THAT(jobs_->Save(wrong),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("upload")));
  wrong = right;
  wrong.set_lease_token("");
  EXPECT_THAT(jobs_->Save(wrong), StatusIs(absl::StatusCode::kAborted, HasSubstr("lease")));
  v1::LoadRequest load;
  load.set_lease_token(lease.token());
  load.set_memo("m");
  EXPECT_THAT(jobs_->Load(load),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("SHA-256")));
  EXPECT_EQ(KeptStates(), 0);
}

// With a collector as the server has one.
class KeptBlobsTest : public KeepingTest {
 protected:
  KeptBlobsTest() {
    options_.on_state_replaced = [this](const std::string& sha256) {
      collector_->RemoveState(sha256);
    };
    Restart();
    collector_ = std::make_unique<Collector>(
        Collector::Options{.keep_blobs = absl::Hours(2), .keep_memos = absl::Hours(48)},
        store_.get(), &clock_, [](absl::Span<const JobKey>) { return absl::OkStatus(); });
  }
  v1::CollectResponse Collect() {
    auto collected = collector_->Collect(/*validate_only=*/false, [] { return false; });
    EXPECT_OK(collected);
    return collected.ok() ? *collected : v1::CollectResponse();
  }
  void CollectTwice() {
    Collect();
    Advance(absl::Hours(2));
    Collect();
  }
  bool Has(const std::string& bytes) {
    return store_->blobs->ReadBytes(kEveryTenant, Sha256Hex(bytes), 0, 0).ok();
  }
  v1::Lease TakeNew() {
    Create();
    return Take();
  }

  std::unique_ptr<Collector> collector_;
};

TEST_F(KeptBlobsTest, StateIsNeededUntilTheJobEnds) {
  const v1::Lease lease = TakeNew();
  ASSERT_OK(Save(lease, "state"));
  ASSERT_OK(Ask(Done(lease, "PREEMPTED")));
  CollectTwice();
  EXPECT_TRUE(Has("state"));
  const v1::Lease next = Take();
  EXPECT_EQ(Load(next), Sha256Hex("state"));
  ASSERT_OK(Ask(Done(next, "FAILED")));
  EXPECT_TRUE(Has("state"));
  EXPECT_EQ(Collect().blobs(), 1);  // at once
  EXPECT_FALSE(Has("state"));
}

TEST_F(KeptBlobsTest, StateThatWasReplacedGoesAtOnceUnlessSomethingNamesIt) {
  const v1::Lease one = TakeNew();
  Create();
  const v1::Lease other = Take("other/cpu");
  ASSERT_OK(Save(one, "first"));
  ASSERT_OK(Save(one, "second"));
  EXPECT_FALSE(Has("first"));
  ASSERT_OK(Save(other, "second"));
  ASSERT_OK(Save(one, "third"));
  EXPECT_TRUE(Has("second")) << "the other's";
  ASSERT_OK(SaveMemo(other, "m", "second"));
  ASSERT_OK(Save(other, "third"));
  EXPECT_TRUE(Has("second")) << "a memo";
  ASSERT_OK(store_->blobs->PutBytes(kDefaultTenant, "fourth"));
  ASSERT_OK(Save(one, "fourth"));
  ASSERT_OK(Save(one, "fifth"));
  EXPECT_TRUE(Has("fourth")) << "a tenant has uploaded it";
  ASSERT_OK(Save(one, "fifth"));  // itself
  EXPECT_TRUE(Has("fifth"));
}

TEST_F(KeptBlobsTest, ReplacedStateWaitsForTheEndOfAPause) {
  const v1::Lease lease = TakeNew();
  ASSERT_OK(Save(lease, "first"));
  {
    Collector::Pause backup(collector_.get());
    ASSERT_OK(Save(lease, "second"));
    EXPECT_TRUE(Has("first"));
  }
  EXPECT_EQ(Collect().blobs(), 1);
  EXPECT_FALSE(Has("first"));
  EXPECT_TRUE(Has("second"));
}

TEST_F(KeptBlobsTest, MemosGoByTheAgeOfTheirLastUse) {
  auto in_a_job = [this](auto body) {
    const v1::Lease lease = TakeNew();
    body(lease);
    ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  };
  in_a_job([this](const v1::Lease& lease) {
    ASSERT_OK(SaveMemo(lease, "used", "1"));
    ASSERT_OK(SaveMemo(lease, "idle", "2"));
  });
  Advance(absl::Hours(40));
  in_a_job([this](const auto& lease) { EXPECT_EQ(Load(lease, "used"), Sha256Hex("1")); });
  CollectTwice();
  EXPECT_TRUE(Has("1") && Has("2"));
  Advance(absl::Hours(20));
  EXPECT_EQ(Collect().memos(), 1);
  CollectTwice();
  EXPECT_TRUE(Has("1"));
  EXPECT_FALSE(Has("2"));
  in_a_job([this](const auto& lease) {
    EXPECT_EQ(Load(lease, "used"), Sha256Hex("1"));
    EXPECT_EQ(Load(lease, "idle"), "");
  });
}

}  // namespace
}  // namespace radiograph
