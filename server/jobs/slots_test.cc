// Slots that wait for work: who is woken, who is refused, who is listed.
#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/jobs/jobs_fixture.h"

namespace radiograph {
namespace {

using ::radiograph::testing::JobsFixture;
using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SlotsTest : public JobsFixture {};

TEST_F(SlotsTest, AWaitingSlotIsAnsweredWhenAJobComes) {
  auto waiting = Poll(Slot("w/cpu", v1::IDLE));
  EXPECT_FALSE(waiting->has_value());
  const std::string id = Create();
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((**waiting)->lease().job(), id);
}

TEST_F(SlotsTest, OfManyWaitingSlotsOneIsWokenForEachJob) {
  std::map<std::string, std::shared_ptr<Answer>> waiting;
  for (int i = 0; i < 5; ++i) {
    const std::string name = absl::StrCat("w", i, "/cpu");
    waiting[name] = Poll(Slot(name, v1::IDLE));
  }
  std::set<std::string> created = {Create(), Create(), Create()}, leased;
  int still_waiting = 0;
  for (const auto& [name, answer] : waiting) {
    if (!answer->has_value()) {
      ++still_waiting;
    } else {
      EXPECT_TRUE(leased.insert((**answer)->lease().job()).second);
    }
  }
  EXPECT_EQ(leased, created);
  EXPECT_EQ(still_waiting, 2);
}

// Jobs and claims that are on their way to the store at the same time: no job may be forgotten.
TEST_F(SlotsTest, JobsThatComeWhileSlotsClaimAreTaken) {
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i < 8; ++i) {
    auto answer = std::make_shared<Answer>();
    answers.push_back(answer);
    jobs_->Synchronize(
        Slot(absl::StrCat("w", i), v1::IDLE), false, {},
        [answer](absl::StatusOr<v1::SynchronizeResponse> response) { *answer = response; });
    ASSERT_OK(jobs_->Create({}, Resolved()));
  }
  Settle();
  std::set<std::string> leased;
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer->has_value());
    leased.insert((**answer)->lease().job());
  }
  EXPECT_EQ(leased.size(), 8u);
}

TEST_F(SlotsTest, APollIsAnsweredAfterAThirdOfTheLeaseAtTheLatest) {
  auto idle = Poll(Slot("w/cpu", v1::IDLE));
  Advance(absl::Seconds(9.9));
  EXPECT_FALSE(idle->has_value());
  Advance(absl::Seconds(0.1));
  ASSERT_TRUE(idle->has_value());
  EXPECT_EQ((**idle)->desired(), v1::IDLE);

  Create();
  const v1::Lease lease = Take();
  auto busy = Poll(Holder(lease, v1::BUSY));
  Advance(absl::Seconds(10));
  ASSERT_TRUE(busy->has_value());
  EXPECT_EQ((**busy)->desired(), v1::BUSY);
  EXPECT_EQ((**busy)->lease().token(), lease.token());
  EXPECT_EQ((**busy)->lease().request(), "");  // it has that already
}

TEST_F(SlotsTest, AnswerNowDoesNotWait) {
  auto now = [](v1::SynchronizeRequest request) {
    request.set_answer_now(true);
    return request;
  };
  ASSERT_OK_AND_ASSIGN(auto answer, Ask(now(Slot("w/cpu", v1::IDLE))));
  EXPECT_EQ(answer.desired(), v1::IDLE);
  const std::string id = Create();
  ASSERT_OK_AND_ASSIGN(answer, Ask(now(Slot("w/cpu", v1::IDLE))));
  EXPECT_EQ(answer.lease().job(), id);
  ASSERT_OK_AND_ASSIGN(answer, Ask(now(Holder(answer.lease(), v1::BUSY))));
  EXPECT_EQ(answer.desired(), v1::BUSY);
}

TEST_F(SlotsTest, OnlyJobsThatFitAreTakenAndTheOthersSayWhy) {
  struct Case {
    const char* what;
    std::function<void(v1::CreateJobRequest&, ResolvedJob&)> change;
    const char* reason;
  };
  EXPECT_EQ(Get(Create()).pending_reason(), "no worker is there");
  Take();  // the slot is busy with that one
  for (const Case& c : {
           Case{"analysis", [](auto&, auto&job) { job.job.set_analysis("other"); },
                "no worker offers other@1"},
           Case{"version", [](auto&, auto&job) { job.job.set_analysis_version(2); },
                "no worker offers test.analysis@2"},
           Case{"device", [](auto&request, auto&) { request.set_device_kind("cuda"); },
                "no worker offers test.analysis@1 on cuda"},
           Case{"memory", [](auto&, auto&job) { job.planned_memory_bytes = 1001; },
                "it needs 1001 bytes of memory; the largest worker that offers test.analysis@1 "
                "gives 1000"},
           Case{"busy", [](auto&, auto&) {}, "all workers that can run it are busy"},
       }) {
    SCOPED_TRACE(c.what);
    v1::CreateJobRequest request;
    ResolvedJob resolved = Resolved();
    c.change(request, resolved);
    ASSERT_OK_AND_ASSIGN(auto made, jobs_->Create(request, resolved));
    EXPECT_EQ(made.job().pending_reason(), c.reason);
    EXPECT_EQ(Get(made.job().id()).pending_reason(), c.reason);
  }
  // Of these a second slot takes the last one only.
  const v1::Lease lease = Take("v/cpu");
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED", "v/cpu")));
  EXPECT_FALSE(Poll(Slot("v/cpu", v1::IDLE))->has_value());
}

TEST_F(SlotsTest, ANewerPollAStopAndAShutdownEndAPoll) {
  auto older = Poll(Slot("w/cpu", v1::IDLE));
  std::stop_source stop;
  auto newer = Poll(Slot("w/cpu", v1::IDLE), stop.get_token());
  ASSERT_TRUE(older->has_value());
  EXPECT_THAT(**older, StatusIs(absl::StatusCode::kAborted, HasSubstr("newer")));
  EXPECT_FALSE(newer->has_value());
  stop.request_stop();
  Settle();
  EXPECT_THAT(**newer, StatusIs(absl::StatusCode::kCancelled, HasSubstr("given up")));
  const std::string id = Create();  // nobody is there to take it
  EXPECT_EQ(Get(id).state(), v1::QUEUED);
  Take();
  auto last = Poll(Slot("other/cpu", v1::IDLE));
  jobs_->Shutdown();
  Settle();
  EXPECT_THAT(**last, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stops")));
  EXPECT_THAT(Ask(Slot("w/cpu", v1::IDLE)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stops")));
}

TEST_F(SlotsTest, WorkersAreListedUntilTheyAreSilentForATerm) {
  const std::string id = Create();
  Take("a/cpu");
  Poll(Slot("b/cpu", v1::IDLE));
  v1::ListWorkersResponse workers = jobs_->ListWorkers(kDefaultTenant);
  ASSERT_EQ(workers.workers_size(), 2);
  EXPECT_EQ(workers.workers(0).slot(), "a/cpu");
  EXPECT_EQ(workers.workers(0).job(), id);
  EXPECT_EQ(workers.workers(1).engine().device_kind(), "cpu");
  EXPECT_EQ(jobs_->Snapshot()->slots[v1::IDLE], 2);
  Advance(absl::Seconds(31));  // a's lease is over too
  EXPECT_THAT(jobs_->ListWorkers(kDefaultTenant).workers(), IsEmpty());
}

// Creators, slots and a canceller on threads of their own, and the errands' thread.
TEST_F(SlotsTest, UnderThreadsEveryJobEndsOnce) {
  constexpr int kSlots = 6, kCreators = 3, kJobsEach = 40;
  std::atomic<int> finished = 0, requeued = 0;
  observer_.finished = [&](const v1::Job&, absl::Duration, absl::Duration) { ++finished; };
  observer_.requeued = [&](const v1::Job&) { ++requeued; };
  Restart();
  errands_.Start();
  auto call = [&](v1::SynchronizeRequest request) {
    absl::Notification answered;
    absl::StatusOr<v1::SynchronizeResponse> answer;
    request.set_answer_now(true);  // the clock stands still: a poll would wait for ever
    jobs_->Synchronize(std::move(request), false, {},
                       [&](absl::StatusOr<v1::SynchronizeResponse> response) {
                         answer = std::move(response);
                         answered.Notify();
                       });
    answered.WaitForNotification();
    EXPECT_OK(answer);
    return answer.ok() ? *answer : v1::SynchronizeResponse();
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kCreators; ++i) {
      threads.emplace_back([&] {
        for (int made = 0; made < kJobsEach; ++made) {
          auto created = jobs_->Create({}, Resolved());
          EXPECT_OK(created);
          if (made % 8 == 0) {
            EXPECT_OK(jobs_->Cancel(Key(created->job().id())));
          }
        }
      });
    }
    for (int i = 0; i < kSlots; ++i) {
      threads.emplace_back([&, name = absl::StrCat("w", i)] {
        for (int turn = 0; finished < kCreators * kJobsEach; ++turn) {
          const v1::SynchronizeResponse given = call(Slot(name, v1::IDLE));
          if (!given.has_lease()) continue;
          v1::SynchronizeRequest busy = Holder(given.lease(), v1::BUSY, name);
          busy.mutable_progress()->set_started(true);
          const bool cancel = call(busy).cancel();
          const bool crash = turn % 10 == 0 && given.lease().attempt() == 1;
          call(Done(given.lease(), cancel ? "CANCELLED" : crash ? "CRASHED" : "SUCCEEDED", name));
        }
      });
    }
  }
  EXPECT_EQ(finished, kCreators * kJobsEach);
  ASSERT_OK_AND_ASSIGN(JobsSnapshot snapshot, jobs_->Snapshot());
  EXPECT_EQ(snapshot.jobs[v1::SUCCEEDED] + snapshot.jobs[v1::CANCELLED], kCreators * kJobsEach);
  EXPECT_EQ(snapshot.jobs[v1::QUEUED], 0);
  EXPECT_EQ(snapshot.jobs[v1::RUNNING], 0);
  EXPECT_GT(requeued, 0);
  ASSERT_OK_AND_ASSIGN(auto counts, store_->jobs.Count());
  EXPECT_EQ((counts[{kDefaultTenant, v1::SUCCEEDED}]), snapshot.jobs[v1::SUCCEEDED]);
}

TEST_F(SlotsTest, SlotsHaveALimit) {
  options_.slots_max = 2;
  Restart();
  Poll(Slot("a", v1::IDLE));
  Poll(Slot("b", v1::IDLE));
  EXPECT_THAT(Ask(Slot("c", v1::IDLE)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("2 slots")));
}

}  // namespace
}  // namespace radiograph
