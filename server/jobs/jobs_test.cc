#include "server/jobs/jobs.h"

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "server/jobs/jobs_fixture.h"

namespace radiograph {
namespace {

using ::radiograph::testing::JobsFixture;
using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class JobsTest : public JobsFixture {
 protected:
  v1::CreateJobResponse CreateWith(const v1::CreateJobRequest& request,
                                   const std::string& cache_key = "key") {
    auto made = jobs_->Create(request, Resolved(cache_key));
    EXPECT_OK(made);
    Settle();
    return made.ok() ? *made : v1::CreateJobResponse();
  }
  // Runs the oldest job to its success.
  void RunOne() {
    ASSERT_OK_AND_ASSIGN(auto answer, Ask(Done(Take(), "SUCCEEDED")));
    EXPECT_EQ(answer.desired(), v1::IDLE);
  }
  // What a wait was told, when it was.
  using Told = std::optional<absl::StatusOr<Jobs::Wake>>;
  std::shared_ptr<Told> WhenChanged(const std::string& id, int64_t after,
                                    std::stop_token stop = {}) {
    auto told = std::make_shared<Told>();
    jobs_->WhenChanged(Key(id), after, absl::Seconds(10), std::move(stop),
                       [told](absl::StatusOr<Jobs::Wake> wake) { *told = wake; });
    Settle();
    return told;
  }
};

TEST_F(JobsTest, ReopenKeepsAcknowledgedJobs) {
  v1::CreateJobRequest request;
  (*request.mutable_labels())["team"] = "x";
  request.set_device_kind("cpu");
  const v1::CreateJobResponse made = CreateWith(request);
  EXPECT_EQ(made.job().state(), v1::QUEUED);
  EXPECT_EQ(made.planned_memory_bytes(), 100);
  EXPECT_EQ(made.cache_key(), "key");
  EXPECT_FALSE(made.cache_hit());
  Restart();
  const v1::Job job = Get(made.job().id());
  EXPECT_EQ(job.SerializeAsString(), made.job().SerializeAsString());
  EXPECT_EQ(job.labels().at("team"), "x");
  EXPECT_THAT(Messages(job.id()), ElementsAre("created"));
  EXPECT_THAT(jobs_->Get(Key("nope")), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nope")));
}

TEST_F(JobsTest, ARepeatedRequestGetsTheSameJob) {
  v1::CreateJobRequest request;
  request.set_request_id("r1");
  const std::string id = CreateWith(request).job().id();
  EXPECT_EQ(CreateWith(request).job().id(), id);
  Restart();
  EXPECT_EQ(CreateWith(request).job().id(), id);
  ASSERT_OK_AND_ASSIGN(auto repeated, jobs_->FindRepeated(kDefaultTenant, request));
  EXPECT_EQ(repeated->job().id(), id);
  request.set_seed(7);
  EXPECT_THAT(jobs_->Create(request, Resolved()),
              StatusIs(absl::StatusCode::kAlreadyExists, AllOf(HasSubstr("r1"), HasSubstr(id))));
  EXPECT_THAT(jobs_->FindRepeated(kDefaultTenant, request),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("r1")));
  request.set_request_id("r2");
  EXPECT_NE(CreateWith(request).job().id(), id);
}

TEST_F(JobsTest, ValidateOnlyWritesNothing) {
  v1::CreateJobRequest request;
  request.set_validate_only(true);
  request.set_request_id("r1");
  const v1::CreateJobResponse answer = CreateWith(request);
  EXPECT_EQ(answer.job().id(), "");
  EXPECT_EQ(answer.job().analysis(), "test.analysis");
  EXPECT_EQ(answer.cache_key(), "key");
  EXPECT_EQ(jobs_->List(kDefaultTenant, {})->jobs_size(), 0);
  request.set_validate_only(false);
  EXPECT_NE(CreateWith(request).job().id(), "");  // the request_id was not used up
}

TEST_F(JobsTest, TheSameWorkIsAnsweredFromTheCache) {
  const std::string first = CreateWith({}).job().id();
  RunOne();
  const v1::CreateJobResponse hit = CreateWith({});
  EXPECT_TRUE(hit.cache_hit());
  const v1::Job job = Get(hit.job().id());
  EXPECT_NE(job.id(), first);
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_TRUE(job.cache_hit());
  EXPECT_EQ(job.result_digest(), Get(first).result_digest());
  ASSERT_EQ(job.result_size(), 1);
  EXPECT_EQ(job.result(0).blob().sha256(), Sha256Hex("{}"));
  ASSERT_EQ(job.attempts_size(), 1);
  EXPECT_EQ(job.attempts(0).engine().build(), "build");  // which engine made it
  EXPECT_THAT(Messages(job.id()), ElementsAre("answered from the cache"));
  EXPECT_TRUE(jobs_->Events(Key(job.id()), 0, 10)->ended);
  v1::CreateJobRequest check;
  check.set_validate_only(true);
  EXPECT_TRUE(CreateWith(check).cache_hit());
  EXPECT_FALSE(CreateWith({}, "another key").cache_hit());
}

TEST_F(JobsTest, AResultThatLostABlobIsMadeAgain) {
  CreateWith({});
  RunOne();
  std::filesystem::remove(*store_->blobs->Path(Sha256Hex("{}")));
  const v1::CreateJobResponse again = CreateWith({});
  EXPECT_FALSE(again.cache_hit());
  EXPECT_EQ(again.job().state(), v1::QUEUED);
  RunOne();
  EXPECT_TRUE(CreateWith({}).cache_hit());
}

TEST_F(JobsTest, RefreshAndBypassRun) {
  v1::CreateJobRequest bypass, refresh, on_cuda;
  bypass.set_cache(v1::BYPASS);
  refresh.set_cache(v1::REFRESH);
  on_cuda.set_device_kind("cuda");
  EXPECT_EQ(CreateWith(bypass).job().state(), v1::QUEUED);
  RunOne();
  EXPECT_FALSE(CreateWith({}).cache_hit());  // what bypassed the cache is not in it
  RunOne();
  EXPECT_EQ(CreateWith(bypass).job().state(), v1::QUEUED);
  RunOne();
  EXPECT_EQ(CreateWith(refresh).job().state(), v1::QUEUED);
  RunOne();
  EXPECT_TRUE(CreateWith({}).cache_hit());
  EXPECT_FALSE(CreateWith(on_cuda).cache_hit());  // it was made on a cpu
}

TEST_F(JobsTest, TheQueueHasALimit) {
  options_.queued_jobs_max = 2;
  Restart();
  CreateWith({});
  const std::string second = CreateWith({}).job().id();
  EXPECT_THAT(jobs_->Create({}, Resolved()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("2 jobs")));
  Restart();  // it is counted from the store
  EXPECT_THAT(jobs_->Create({}, Resolved()),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("2 jobs")));
  ASSERT_OK(jobs_->Cancel(Key(second)));
  EXPECT_OK(jobs_->Create({}, Resolved()));
}

TEST_F(JobsTest, CancelOfAQueuedJobEndsItAndOnlyOnce) {
  const std::string id = Create();
  ASSERT_OK_AND_ASSIGN(v1::Job job, jobs_->Cancel(Key(id)));
  EXPECT_EQ(job.state(), v1::CANCELLED);
  ASSERT_OK_AND_ASSIGN(v1::Job again, jobs_->Cancel(Key(id)));
  EXPECT_EQ(again.SerializeAsString(), job.SerializeAsString());
  EXPECT_THAT(Messages(id), ElementsAre("created", "cancel requested"));
  EXPECT_THAT(jobs_->Cancel(Key("nope")), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nope")));
}

TEST_F(JobsTest, ListsByStateInPages) {
  for (int i = 0; i < 5; ++i) Create();
  const std::string cancelled = Create();
  ASSERT_OK(jobs_->Cancel(Key(cancelled)));
  v1::ListJobsRequest request;
  request.set_filter("state = QUEUED");
  request.set_page_size(2);
  std::set<std::string> seen;
  int pages = 0;
  do {
    ASSERT_OK_AND_ASSIGN(auto page, jobs_->List(kDefaultTenant, request));
    for (const v1::Job& job : page.jobs()) {
      EXPECT_TRUE(seen.insert(job.id()).second);
      EXPECT_EQ(job.pending_reason(), "no worker is there");
    }
    request.set_page_token(page.next_page_token());
    Create();  // newer than what is still to come
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(pages, 3);
}

TEST_F(JobsTest, EventsAreReplayedInPagesToTheEnd) {
  const std::string id = Create();
  RunOne();
  ASSERT_OK_AND_ASSIGN(auto page, jobs_->Events(Key(id), 0, 2));
  ASSERT_EQ(page.events.size(), 2u);
  EXPECT_EQ(page.events[0].state(), v1::QUEUED);
  EXPECT_EQ(page.events[1].state(), v1::RUNNING);
  EXPECT_EQ(page.events[1].attempt(), 1);
  EXPECT_FALSE(page.ended);
  ASSERT_OK_AND_ASSIGN(page, jobs_->Events(Key(id), 2, 2));
  ASSERT_EQ(page.events.size(), 1u);
  EXPECT_EQ(page.events[0].state(), v1::SUCCEEDED);
  EXPECT_TRUE(page.ended);
  EXPECT_TRUE(jobs_->Events(Key(id), 3, 2)->ended);
  EXPECT_THAT(jobs_->Events(Key("nope"), 0, 1),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nope")));
}

TEST_F(JobsTest, AWaitHearsOfTheNextEvent) {
  const std::string id = Create();
  auto before = WhenChanged(id, 0);  // event 1 is there
  ASSERT_TRUE(before->has_value());
  EXPECT_EQ(***before, Jobs::Wake::kChanged);
  auto next = WhenChanged(id, 1);
  EXPECT_FALSE(next->has_value());
  const v1::Lease lease = Take();
  ASSERT_TRUE(next->has_value());
  EXPECT_EQ(***next, Jobs::Wake::kChanged);

  Told ended;
  jobs_->WhenEnded(Key(id), absl::Hours(1), {},
                   [&](absl::StatusOr<Jobs::Wake> wake) { ended = wake; });
  auto state = Holder(lease, v1::BUSY);
  state.mutable_progress()->set_started(true);
  Poll(state);
  EXPECT_FALSE(ended.has_value());
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(**ended, Jobs::Wake::kChanged);
  EXPECT_TRUE(WhenChanged(id, 1000)->has_value());  // nothing more will come
}

TEST_F(JobsTest, AWaitEndsByTimeByStopAndByShutdown) {
  const std::string id = Create();
  auto late = WhenChanged(id, 1);
  std::stop_source stop;
  auto given_up = WhenChanged(id, 1, stop.get_token());
  Advance(absl::Seconds(9));
  EXPECT_FALSE(late->has_value());
  stop.request_stop();
  Settle();
  EXPECT_EQ(***given_up, Jobs::Wake::kGivenUp);
  Advance(absl::Seconds(1));
  EXPECT_EQ(***late, Jobs::Wake::kTimeout);
  EXPECT_THAT(**WhenChanged("nope", 0), StatusIs(absl::StatusCode::kNotFound, HasSubstr("nope")));
  auto shut = WhenChanged(id, 1);
  jobs_->Shutdown();
  Settle();
  EXPECT_EQ(***shut, Jobs::Wake::kGivenUp);
  EXPECT_EQ(***WhenChanged(id, 1), Jobs::Wake::kGivenUp);
}

TEST_F(JobsTest, TheObserverHearsOfEachJobOnce) {
  int created = 0, requeued = 0;
  std::vector<std::string> finished;
  observer_.created = [&](const v1::Job&) { ++created; };
  observer_.requeued = [&](const v1::Job&) { ++requeued; };
  observer_.finished = [&](const v1::Job& job, absl::Duration queued, absl::Duration ran) {
    finished.push_back(absl::StrCat(v1::JobState_Name(job.state()), " ",
                                    absl::FormatDuration(queued), " ", absl::FormatDuration(ran)));
  };
  Restart();
  CreateWith({});
  clock_.Advance(absl::Seconds(3));
  v1::Lease lease = Take();
  ASSERT_OK(Ask(Done(lease, "CRASHED")));
  clock_.Advance(absl::Seconds(2));
  lease = Take();
  clock_.Advance(absl::Seconds(4));
  ASSERT_OK(Ask(Done(lease, "SUCCEEDED")));
  CreateWith({});  // a hit
  ASSERT_OK(jobs_->Cancel(Key(CreateWith({}, "other").job().id())));
  EXPECT_EQ(created, 3);
  EXPECT_EQ(requeued, 1);
  EXPECT_THAT(finished, ElementsAre("SUCCEEDED 5s 4s", "SUCCEEDED 0 0", "CANCELLED 0 0"));
  ASSERT_OK_AND_ASSIGN(JobsSnapshot snapshot, jobs_->Snapshot());
  EXPECT_EQ(snapshot.jobs[v1::SUCCEEDED], 2);
  EXPECT_EQ(snapshot.jobs[v1::CANCELLED], 1);
  EXPECT_EQ(snapshot.jobs[v1::QUEUED], 0);
  EXPECT_EQ(snapshot.oldest_queued_age, absl::ZeroDuration());
  Create();
  clock_.Advance(absl::Seconds(7));
  EXPECT_EQ(jobs_->Snapshot()->oldest_queued_age, absl::Seconds(7));
}

}  // namespace
}  // namespace radiograph
