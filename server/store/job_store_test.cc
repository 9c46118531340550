#include "server/store/job_store.h"

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "server/store/messages.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::FakeClock;
using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::Status Nothing(JobRow&, v1::JobEvent&) { return absl::OkStatus(); }

class JobStoreTest : public ::testing::Test {
 protected:
  JobStoreTest() : folder_(*TemporaryFolder::Make()) { Reopen(); }
  void Reopen() {
    store_.reset();
    auto store = Store::Open({.folder = folder_.path()}, &clock_, &disk_);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }
  JobStore& jobs() { return store_->jobs; }

  JobRow Row(const std::string& id) {
    JobRow row;
    row.job.set_id(id);
    row.job.set_analysis("test.analysis");
    row.job.set_analysis_version(1);
    row.job.set_state(v1::QUEUED);
    *row.job.mutable_create_time() = ToTimestamp(clock_.Now());
    return row;
  }
  v1::JobEvent Event(const std::string& message) {
    v1::JobEvent event;
    *event.mutable_time() = ToTimestamp(clock_.Now());
    event.set_message(message);
    return event;
  }
  void Insert(JobRow row) { ASSERT_OK(TryInsert(std::move(row))); }
  absl::StatusOr<JobStore::Changed> TryInsert(JobRow row) {
    return Wait([&](JobStore::Done done) {
      jobs().Insert(row, Event("created"), "request of " + row.job.id(), std::move(done));
    });
  }

  absl::StatusOr<JobStore::Changed> Change(const std::string& id, JobStore::Mutate mutate) {
    return Wait(
        [&](JobStore::Done done) { jobs().Change(id, std::move(mutate), std::move(done)); });
  }
  // The id of the job that a slot with this offer gets.
  absl::StatusOr<JobStore::Changed> Claim(SlotOffer offer) {
    return Wait([&](JobStore::Done done) {
      jobs().Claim(
          std::move(offer),
          [](JobRow& row, v1::JobEvent&) {
            row.job.set_state(v1::RUNNING);
            return absl::OkStatus();
          },
          std::move(done));
    });
  }
  static absl::StatusOr<JobStore::Changed> Wait(absl::FunctionRef<void(JobStore::Done)> submit) {
    absl::StatusOr<JobStore::Changed> result;
    absl::Notification done;
    submit([&](absl::StatusOr<JobStore::Changed> changed) {
      result = std::move(changed);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  static SlotOffer Offer(const std::string& analysis, int64_t version, const std::string& device,
                         int64_t memory) {
    SlotOffer offer{.device_kind = device, .memory_bytes = memory};
    offer.analyses.emplace_back().set_name(analysis);
    offer.analyses.back().set_version(version);
    return offer;
  }

  const TemporaryFolder folder_;
  FakeClock clock_;
  Disk disk_;
  std::unique_ptr<Store> store_;
};

TEST_F(JobStoreTest, ReopenKeepsAcknowledgedJobs) {
  JobRow row = Row("a");
  row.memory_bytes = 7;
  row.cacheable = "key";
  row.request_digest = "digest";
  Insert(row);
  ASSERT_OK(Change("a", [&](JobRow& changed, v1::JobEvent& event) {
    changed.lease_token = "token";
    changed.embedded = true;
    event = Event("second");
    return absl::OkStatus();
  }));
  Reopen();
  ASSERT_OK_AND_ASSIGN(JobRow kept, jobs().Get("a"));
  EXPECT_EQ(kept.job.SerializeAsString(), row.job.SerializeAsString());
  EXPECT_EQ(kept.memory_bytes, 7);
  EXPECT_EQ(kept.cacheable, "key");
  EXPECT_EQ(kept.request_digest, "digest");
  EXPECT_EQ(kept.lease_token, "token");
  EXPECT_TRUE(kept.embedded);
  EXPECT_EQ(kept.events, 2);
  EXPECT_THAT(jobs().Get("b"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'b'")));
}

TEST_F(JobStoreTest, ARefusedChangeWritesNothing) {
  Insert(Row("a"));
  EXPECT_THAT(Change("a",
                     [&](JobRow& row, v1::JobEvent& event) {
                       row.job.set_state(v1::FAILED);
                       event = Event("never");
                       return absl::AbortedError("stale token");
                     }),
              StatusIs(absl::StatusCode::kAborted, "stale token"));
  EXPECT_EQ(jobs().Get("a")->job.state(), v1::QUEUED);
  EXPECT_EQ(jobs().Events("a", 0, 10)->size(), 1u);
  EXPECT_THAT(Change("b", Nothing), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'b'")));
}

TEST_F(JobStoreTest, ChangeTellsTheStateBefore) {
  Insert(Row("a"));
  ASSERT_OK_AND_ASSIGN(auto changed, Change("a", [](JobRow& row, v1::JobEvent&) {
                         row.job.set_state(v1::CANCELLED);
                         return absl::OkStatus();
                       }));
  EXPECT_EQ(changed.before, v1::QUEUED);
  EXPECT_EQ(changed.row.job.state(), v1::CANCELLED);
}

TEST_F(JobStoreTest, AResultNeedsItsBlobs) {
  Insert(Row("a"));
  auto succeed = [&](const std::string& bytes) {
    return Change("a", [bytes](JobRow& row, v1::JobEvent&) {
      row.job.set_state(v1::SUCCEEDED);
      v1::ArtifactFile& file = *row.job.add_result();
      file.set_name("result.json");
      file.mutable_blob()->set_sha256(Sha256Hex(bytes));
      file.mutable_blob()->set_size(static_cast<int64_t>(bytes.size()));
      return absl::OkStatus();
    });
  };
  EXPECT_THAT(succeed("{}"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("result.json")));
  EXPECT_EQ(jobs().Get("a")->job.state(), v1::QUEUED);
  ASSERT_OK(store_->blobs->PutBytes("{}"));
  EXPECT_OK(succeed("{}"));
}

TEST_F(JobStoreTest, EventsAreNumberedAndPaged) {
  Insert(Row("a"));
  Insert(Row("b"));
  for (int i = 2; i <= 5; ++i) {
    ASSERT_OK(Change("a", [&](JobRow&, v1::JobEvent& event) {
      event = Event(absl::StrCat("event ", i));
      return absl::OkStatus();
    }));
  }
  ASSERT_OK(Change("a", Nothing));  // without an event
  ASSERT_OK_AND_ASSIGN(auto events, jobs().Events("a", 2, 2));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].sequence(), 3);
  EXPECT_EQ(events[0].message(), "event 3");
  EXPECT_EQ(events[1].sequence(), 4);
  EXPECT_EQ(jobs().Events("a", 0, 100)->size(), 5u);
  EXPECT_EQ(jobs().Events("b", 0, 100)->size(), 1u);
}

TEST_F(JobStoreTest, TheSameRequestIdGetsTheSameJob) {
  JobRow first = Row("a");
  first.job.set_request_id("r1");
  Insert(first);
  JobRow second = Row("b");
  second.job.set_request_id("r1");
  ASSERT_OK_AND_ASSIGN(auto changed, TryInsert(second));
  EXPECT_EQ(changed.row.job.id(), "a");
  EXPECT_EQ(changed.before, v1::QUEUED);
  EXPECT_THAT(jobs().Get("b"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'b'")));
  Insert(Row("c"));
  Insert(Row("d"));  // no request_id is nobody's
  ASSERT_OK_AND_ASSIGN(auto found, jobs().FindRequest("r1"));
  EXPECT_EQ(found->job.id(), "a");
  ASSERT_OK_AND_ASSIGN(found, jobs().FindRequest(""));
  EXPECT_FALSE(found.has_value());
}

TEST_F(JobStoreTest, ClaimTakesTheOldestThatFits) {
  JobRow cuda = Row("cuda");
  cuda.job.set_device_kind("cuda");
  JobRow large = Row("large");
  large.memory_bytes = 1000;
  JobRow newer = Row("newer");
  newer.job.set_analysis_version(2);
  for (const JobRow& row : {cuda, large, newer, Row("first"), Row("second")}) Insert(row);
  struct Case {
    SlotOffer offer;
    const char* job;
  };
  for (const Case& c : {Case{Offer("test.analysis", 1, "cpu", 10), "first"},
                        Case{Offer("test.analysis", 1, "cuda", 10), "cuda"},
                        Case{Offer("test.analysis", 1, "cpu", 1000), "large"},
                        Case{Offer("test.analysis", 2, "cpu", 10), "newer"}}) {
    ASSERT_OK_AND_ASSIGN(auto claimed, Claim(c.offer));
    EXPECT_EQ(claimed.row.job.id(), c.job);
    EXPECT_EQ(claimed.request, absl::StrCat("request of ", c.job));
  }
  EXPECT_THAT(Claim(Offer("other.analysis", 1, "cpu", 10)),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no queued job")));
}

TEST_F(JobStoreTest, FindsTheNewestSuccessOfAKey) {
  auto insert = [&](const std::string& id, v1::JobState state, const std::string& key,
                    const std::string& device) {
    JobRow row = Row(id);
    row.job.set_state(state);
    row.cacheable = key;
    row.job.add_attempts()->mutable_engine()->set_device_kind(device);
    Insert(row);
  };
  insert("old", v1::SUCCEEDED, "key", "cpu");
  insert("new", v1::SUCCEEDED, "key", "cpu");
  insert("on cuda", v1::SUCCEEDED, "key", "cuda");
  insert("failed", v1::FAILED, "key", "cpu");
  insert("not to be found", v1::SUCCEEDED, "", "cpu");
  EXPECT_EQ((*jobs().FindCached("key", ""))->id(), "on cuda");
  EXPECT_EQ((*jobs().FindCached("key", "cpu"))->id(), "new");
  EXPECT_FALSE(jobs().FindCached("key", "mps")->has_value());
  EXPECT_FALSE(jobs().FindCached("other", "")->has_value());
  EXPECT_FALSE(jobs().FindCached("", "")->has_value());
}

TEST_F(JobStoreTest, ListsByStateNewestFirstAndStableWhenJobsCome) {
  for (int i = 0; i < 6; ++i) {
    JobRow row = Row(absl::StrCat(i));
    if (i % 2 == 1) row.job.set_state(v1::FAILED);
    row.job.add_attempts()->set_stderr_tail("long");
    Insert(row);
  }
  v1::ListJobsRequest request;
  request.set_state(v1::FAILED);
  request.set_page_size(2);
  ASSERT_OK_AND_ASSIGN(auto page, jobs().List(request, [](JobRow&) {}));
  ASSERT_EQ(page.jobs_size(), 2);
  EXPECT_EQ(page.jobs(0).id(), "5");
  EXPECT_EQ(page.jobs(1).id(), "3");
  EXPECT_EQ(page.jobs(0).attempts(0).stderr_tail(), "");
  JobRow late = Row("late");
  late.job.set_state(v1::FAILED);
  Insert(late);
  request.set_page_token(page.next_page_token());
  ASSERT_OK_AND_ASSIGN(page, jobs().List(request, [](JobRow&) {}));
  ASSERT_EQ(page.jobs_size(), 1);
  EXPECT_EQ(page.jobs(0).id(), "1");
  EXPECT_EQ(page.next_page_token(), "");
  ASSERT_OK_AND_ASSIGN(page, jobs().List({}, [](JobRow&) {}));
  EXPECT_EQ(page.jobs_size(), 7);
}

TEST_F(JobStoreTest, APageEndsEarlyWhenItsRowsAreLarge) {
  for (int i = 0; i < 3; ++i) {
    JobRow row = Row(absl::StrCat(i));
    (*row.job.mutable_labels())["large"] = std::string(1'500'000, 'x');
    Insert(row);
  }
  ASSERT_OK_AND_ASSIGN(auto page, jobs().List({}, [](JobRow&) {}));
  EXPECT_EQ(page.jobs_size(), 2);
  EXPECT_NE(page.next_page_token(), "");
}

TEST_F(JobStoreTest, CountsAndOldestAreOfNow) {
  EXPECT_EQ(*jobs().OldestQueued(), absl::InfiniteFuture());
  const absl::Time start = clock_.Now();
  Insert(Row("a"));
  clock_.Advance(absl::Seconds(5));
  Insert(Row("b"));
  EXPECT_EQ(*jobs().OldestQueued(), start);
  ASSERT_OK(Claim(Offer("test.analysis", 1, "cpu", 0)));
  EXPECT_EQ(*jobs().OldestQueued(), start + absl::Seconds(5));
  ASSERT_OK_AND_ASSIGN(auto counts, jobs().CountByState());
  EXPECT_THAT(counts, ElementsAre(std::pair(v1::QUEUED, 1), std::pair(v1::RUNNING, 1)));
  std::vector<std::string> running;
  ASSERT_OK(jobs().ForEach(v1::RUNNING, [&](JobRow row) { running.push_back(row.job.id()); }));
  EXPECT_THAT(running, ElementsAre("a"));
}

}  // namespace
}  // namespace radiograph
