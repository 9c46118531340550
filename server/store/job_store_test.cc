#include "server/store/job_store.h"

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
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
    row.job.set_tenant(kDefaultTenant);
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
  absl::Status TryInsert(JobRow row) {
    return Transact([&](JobTransaction& transaction) {
             return transaction.Insert(row, Event("created"), "request of " + row.job.id());
           })
        .status();
  }
  using Mutate = std::function<absl::Status(JobRow& row, v1::JobEvent& event)>;
  JobStore::Changes Change(const std::string& id, const Mutate& mutate) {
    return Transact([&](JobTransaction& transaction) -> absl::Status {
      ASSIGN_OR_RETURN(JobRow row, transaction.Get(id));
      v1::JobEvent event;
      RETURN_IF_ERROR(mutate(row, event));
      return transaction.Put(std::move(row), std::move(event));
    });
  }
  JobStore::Changes SetState(const std::string& id, v1::JobState state) {
    return Change(id, [state](JobRow& row, v1::JobEvent&) {
      row.job.set_state(state);
      return absl::OkStatus();
    });
  }
  JobStore::Changes Transact(JobStore::Body body) {
    JobStore::Changes result;
    absl::Notification done;
    jobs().Transact(std::move(body), [&](JobStore::Changes changes) {
      result = std::move(changes);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  // What a read of the transaction kind finds.
  template <typename T>
  T Look(absl::FunctionRef<T(JobTransaction&)> body) {
    std::optional<T> found;
    EXPECT_OK(jobs().Read([&](JobTransaction& transaction) {
      found.emplace(body(transaction));
      return absl::OkStatus();
    }));
    return *std::move(found);
  }
  static JobKey Key(const std::string& id, const std::string& tenant = kDefaultTenant) {
    return {tenant, id};
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
  ASSERT_OK_AND_ASSIGN(JobRow kept, jobs().Get(Key("a")));
  EXPECT_EQ(kept.job.SerializeAsString(), row.job.SerializeAsString());
  EXPECT_EQ(kept.memory_bytes, 7);
  EXPECT_EQ(kept.cacheable, "key");
  EXPECT_EQ(kept.request_digest, "digest");
  EXPECT_EQ(kept.lease_token, "token");
  EXPECT_TRUE(kept.embedded);
  EXPECT_EQ(kept.events, 2);
  EXPECT_THAT(jobs().Get(Key("b")), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'b'")));
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
  EXPECT_EQ(jobs().Get(Key("a"))->job.state(), v1::QUEUED);
  EXPECT_EQ(jobs().Events(Key("a"), 0, 10)->events.size(), 1u);
  EXPECT_THAT(SetState("b", v1::FAILED), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'b'")));
}

TEST_F(JobStoreTest, ChangeTellsTheStateBefore) {
  Insert(Row("a"));
  ASSERT_OK_AND_ASSIGN(auto changes, SetState("a", v1::CANCELLED));
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].before, v1::QUEUED);
  EXPECT_EQ(changes[0].row.job.state(), v1::CANCELLED);
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
  EXPECT_EQ(jobs().Get(Key("a"))->job.state(), v1::QUEUED);
  ASSERT_OK(store_->blobs->PutBytes(kDefaultTenant, "{}"));
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
  ASSERT_OK(SetState("a", v1::RUNNING));  // without an event
  ASSERT_OK_AND_ASSIGN(const auto page, jobs().Events(Key("a"), 2, 2));
  EXPECT_EQ(page.head.state, v1::RUNNING);
  EXPECT_EQ(page.head.events, 5);
  const std::vector<v1::JobEvent>& events = page.events;
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].sequence(), 3);
  EXPECT_EQ(events[0].message(), "event 3");
  EXPECT_EQ(events[1].sequence(), 4);
  EXPECT_EQ(jobs().Events(Key("a"), 0, 100)->events.size(), 5u);
  EXPECT_EQ(jobs().Events(Key("b"), 0, 100)->events.size(), 1u);
}

TEST_F(JobStoreTest, ARequestIdIsItsTenantsAndHasOneJob) {
  for (const char* tenant : {"default", "other"}) {
    JobRow row = Row(absl::StrCat("of ", tenant));
    row.job.set_tenant(tenant);
    row.job.set_request_id("r1");
    Insert(row);
  }
  JobRow second = Row("second");
  second.job.set_request_id("r1");
  EXPECT_THAT(TryInsert(second), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("UNIQUE")));
  Insert(Row("c"));
  Insert(Row("d"));  // no request_id is nobody's
  for (const char* tenant : {"default", "other"}) {
    ASSERT_OK_AND_ASSIGN(auto found, jobs().FindRequest(tenant, "r1"));
    EXPECT_EQ(found->job.id(), absl::StrCat("of ", tenant));
  }
  ASSERT_OK_AND_ASSIGN(auto found, jobs().FindRequest(kDefaultTenant, ""));
  EXPECT_FALSE(found.has_value());
}

TEST_F(JobStoreTest, AnotherTenantsJobDoesNotExist) {
  Insert(Row("a"));
  EXPECT_OK(jobs().Get(Key("a")));
  EXPECT_THAT(jobs().Get(Key("a", "other")), StatusIs(absl::StatusCode::kNotFound, HasSubstr("a")));
  EXPECT_THAT(jobs().Events(Key("a", "other"), 0, 10),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("a")));
  EXPECT_THAT(jobs().Head(Key("a", "other")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("a")));
  EXPECT_EQ(jobs().List("other", {}, [](JobRow&) {})->jobs_size(), 0);
}

TEST_F(JobStoreTest, ALeaseTokenFindsItsRunningJob) {
  Insert(Row("a"));
  ASSERT_OK(Change("a", [](JobRow& row, v1::JobEvent&) {
    row.job.set_state(v1::RUNNING);
    row.lease_token = "t";
    return absl::OkStatus();
  }));
  auto find = [&](const std::string& token) {
    return Look<absl::StatusOr<JobRow>>(
        [&](JobTransaction& transaction) { return transaction.GetLeased(token); });
  };
  EXPECT_EQ(find("t")->job.id(), "a");
  EXPECT_THAT(find("u"), StatusIs(absl::StatusCode::kAborted, HasSubstr("no longer")));
  ASSERT_OK(SetState("a", v1::FAILED));
  EXPECT_THAT(find("t"), StatusIs(absl::StatusCode::kAborted, HasSubstr("no longer")));
}

TEST_F(JobStoreTest, FindsSuccessesAndWorkInFlightOfAKey) {
  auto insert = [&](const std::string& id, v1::JobState state, const std::string& key,
                    const std::string& first = "") {
    JobRow row = Row(id);
    row.job.set_state(state);
    row.cacheable = key;
    row.job.set_merged_into(first);
    Insert(row);
  };
  insert("old", v1::SUCCEEDED, "key");
  insert("new", v1::SUCCEEDED, "key");
  insert("failed", v1::FAILED, "key");
  insert("not to be found", v1::SUCCEEDED, "");
  insert("waits", v1::QUEUED, "key");
  insert("waits too", v1::QUEUED, "key", "waits");
  insert("waits also", v1::QUEUED, "key", "waits");
  auto cached = [&](const std::string& tenant, const std::string& key, int64_t limit) {
    return Look<std::vector<std::string>>([&](JobTransaction& transaction) {
      std::vector<std::string> ids;
      auto rows = transaction.FindCached(tenant, key, limit);
      EXPECT_OK(rows);
      for (const JobRow& row : *rows) ids.push_back(row.job.id());
      return ids;
    });
  };
  EXPECT_THAT(cached(kDefaultTenant, "key", 10), ElementsAre("new", "old"));
  EXPECT_THAT(cached(kDefaultTenant, "key", 1), ElementsAre("new"));
  EXPECT_THAT(cached(kDefaultTenant, "", 10), ElementsAre());
  EXPECT_THAT(cached("other", "key", 10), ElementsAre());
  auto in_flight = [&](const std::string& tenant, const std::string& key) {
    return Look<std::string>([&](JobTransaction& transaction) {
      std::optional<JobRow> row = *transaction.FindInFlight(tenant, key);
      return row ? row->job.id() : "none";
    });
  };
  EXPECT_EQ(in_flight(kDefaultTenant, "key"), "waits");
  EXPECT_EQ(in_flight("other", "key"), "none");
  EXPECT_EQ(in_flight(kDefaultTenant, ""), "none");
  EXPECT_EQ(Look<size_t>([](JobTransaction& transaction) {
              return transaction.MergedInto("waits")->size();
            }),
            2u);
}

TEST_F(JobStoreTest, ADeletedJobIsGoneWithItsEvents) {
  Insert(Row("a"));
  ASSERT_OK(Transact([](JobTransaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(JobRow row, transaction.Get("a"));
    return transaction.Delete(row);
  }));
  EXPECT_THAT(jobs().Get(Key("a")), StatusIs(absl::StatusCode::kNotFound, HasSubstr("'a'")));
  Insert(Row("b"));  // its number may be used again
  EXPECT_EQ(jobs().Events(Key("b"), 0, 10)->events.size(), 1u);
}

TEST_F(JobStoreTest, ListsByStateNewestFirstAndStableWhenJobsCome) {
  for (int i = 0; i < 6; ++i) {
    JobRow row = Row(absl::StrCat(i));
    if (i % 2 == 1) row.job.set_state(v1::FAILED);
    row.job.add_attempts()->set_stderr_tail("long");
    Insert(row);
  }
  v1::ListJobsRequest request;
  request.set_filter("state = FAILED");
  request.set_page_size(2);
  ASSERT_OK_AND_ASSIGN(auto page, jobs().List(kDefaultTenant, request, [](JobRow&) {}));
  ASSERT_EQ(page.jobs_size(), 2);
  EXPECT_EQ(page.jobs(0).id(), "5");
  EXPECT_EQ(page.jobs(1).id(), "3");
  EXPECT_EQ(page.jobs(0).attempts(0).stderr_tail(), "");
  JobRow late = Row("late");
  late.job.set_state(v1::FAILED);
  Insert(late);
  request.set_page_token(page.next_page_token());
  ASSERT_OK_AND_ASSIGN(page, jobs().List(kDefaultTenant, request, [](JobRow&) {}));
  ASSERT_EQ(page.jobs_size(), 1);
  EXPECT_EQ(page.jobs(0).id(), "1");
  EXPECT_EQ(page.next_page_token(), "");
  ASSERT_OK_AND_ASSIGN(page, jobs().List(kDefaultTenant, {}, [](JobRow&) {}));
  EXPECT_EQ(page.jobs_size(), 7);
}

TEST_F(JobStoreTest, APageEndsEarlyWhenItsRowsAreLarge) {
  for (int i = 0; i < 3; ++i) {
    JobRow row = Row(absl::StrCat(i));
    (*row.job.mutable_labels())["large"] = std::string(1'500'000, 'x');
    Insert(row);
  }
  ASSERT_OK_AND_ASSIGN(auto page, jobs().List(kDefaultTenant, {}, [](JobRow&) {}));
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
  ASSERT_OK(SetState("a", v1::RUNNING));
  EXPECT_EQ(*jobs().OldestQueued(), start + absl::Seconds(5));
  ASSERT_OK_AND_ASSIGN(auto counts, jobs().Count());
  const std::string tenant = kDefaultTenant;
  EXPECT_THAT(counts, ElementsAre(std::pair(std::pair(tenant, v1::QUEUED), 1),
                                  std::pair(std::pair(tenant, v1::RUNNING), 1)));
  std::vector<std::string> running;
  ASSERT_OK(jobs().ForEach(v1::RUNNING, [&](JobRow row) { running.push_back(row.job.id()); }));
  EXPECT_THAT(running, ElementsAre("a"));
}

}  // namespace
}  // namespace radiograph
