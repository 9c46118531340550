// Lists of jobs against a slow plain reference, and what pages promise.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "core/base/file.h"
#include "server/store/job_scan.h"
#include "server/store/messages.h"
#include "server/store/schema.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

class JobListTest : public ::testing::Test {
 protected:
  JobListTest() : folder_(*TemporaryFolder::Make()) { Open(); }
  void Open() {
    auto store = Store::Open({.folder = folder_.path()}, &clock_, &disk_);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }
  v1::Job Job(const std::string& id) {
    v1::Job job;
    job.set_id(id);
    job.set_tenant(kDefaultTenant);
    job.set_analysis("test.analysis");
    job.set_state(v1::QUEUED);
    *job.mutable_create_time() = ToTimestamp(clock_.Now());
    return job;
  }
  void Transact(JobStore::Body body) {
    absl::Notification done;
    store_->jobs.Transact(std::move(body), [&](const JobStore::Changes& changes) {
      EXPECT_OK(changes);
      done.Notify();
    });
    done.WaitForNotification();
  }
  void Insert(const std::vector<v1::Job>& jobs) {
    Transact([&](JobTransaction& transaction) {
      for (const v1::Job& job : jobs) {
        JobRow row;
        row.job = job;
        v1::JobEvent event;
        *event.mutable_time() = job.create_time();
        EXPECT_OK(transaction.Insert(row, event, "request"));
      }
      return absl::OkStatus();
    });
  }
  absl::StatusOr<v1::ListJobsResponse> Page(const v1::ListJobsRequest& request,
                                            const std::string& tenant = kDefaultTenant) {
    return store_->jobs.List(tenant, request, [](JobRow&) {});
  }
  // The ids of all pages; `each_page` runs between them.
  std::vector<std::string> List(
      v1::ListJobsRequest request, const std::string& tenant = kDefaultTenant,
      absl::FunctionRef<void()> each_page = [] {}) {
    std::vector<std::string> ids;
    do {
      auto page = Page(request, tenant);
      if (!page.ok()) ADD_FAILURE() << page.status() << " of " << request.filter();
      if (!page.ok()) return ids;
      for (const v1::Job& job : page->jobs()) ids.push_back(job.id());
      request.set_page_token(page->next_page_token());
      each_page();
    } while (!request.page_token().empty());
    return ids;
  }
  std::vector<std::string> Filtered(const std::string& filter, const std::string& order = "") {
    v1::ListJobsRequest request;
    request.set_filter(filter);
    request.set_order_by(order);
    return List(request);
  }

  const TemporaryFolder folder_;
  testing::FakeClock clock_;
  Disk disk_;
  std::unique_ptr<Store> store_;
};

// Random jobs and random filters, each filter with a function that says the same.
class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  int Roll(int sides) { return static_cast<int>(random_() % sides); }
  const char* Of(const std::vector<const char*>& of) {
    return of[Roll(static_cast<int>(of.size()))];
  }

  v1::Job Job(int number) {
    v1::Job job;
    job.set_id(absl::StrCat("job-", number));
    job.set_tenant(Of({"default", "default", "other"}));
    job.set_analysis(Of({"bilinear.spectrum", "bilinear.deep", "sparse.learn"}));
    job.set_analysis_version(1 + Roll(3));
    job.set_state(std::vector{v1::QUEUED, v1::SUCCEEDED, v1::FAILED, v1::CANCELLED}[Roll(4)]);
    job.set_seed(Roll(10) - 5);
    job.set_device_kind(Of({"", "cpu", "cuda"}));
    job.set_priority(static_cast<v1::JobPriority>(Roll(3)));
    job.set_cache_hit(Roll(2) == 0);
    job.mutable_create_time()->set_seconds(kStart + Roll(20));
    job.mutable_create_time()->set_nanos(Roll(3));
    if (job.state() >= v1::SUCCEEDED) job.mutable_end_time()->set_seconds(kStart + 10 + Roll(30));
    if (job.state() == v1::FAILED) job.mutable_error()->set_code(Roll(16));
    for (const char* key : {"team", "run id"}) {
      if (Roll(2) == 0) (*job.mutable_labels())[key] = Of({"core", "web", "core-2", ""});
    }
    if (Roll(3) > 0) {
      (*job.mutable_inputs())[Of({"model", "data"})].add_artifacts()->set_digest(
          Of({"abcdef", "abc", "012345"}));
    }
    for (int i = Roll(3); i > 0; --i) job.add_attempts()->set_outcome(Of({"LOST", "CRASHED"}));
    if (Roll(2) == 0) (*job.mutable_params()->mutable_fields())["k"].set_number_value(Roll(5));
    return job;
  }

  using Says = std::function<bool(const v1::Job&)>;
  std::pair<std::string, Says> Filter(int depth) {
    if (depth == 0 || Roll(4) == 0) return Comparison();
    auto [a_text, a] = Filter(depth - 1);
    if (Roll(4) == 0) {
      return {absl::StrCat(Of({"NOT (", "-("}), a_text, ")"),
              [a = a](const v1::Job& job) { return !a(job); }};
    }
    auto [b_text, b] = Filter(depth - 1);
    if (Roll(2) == 0) {
      return {absl::StrCat("(", a_text, ") OR (", b_text, ")"),
              [a = a, b = b](const v1::Job& job) { return a(job) || b(job); }};
    }
    return {absl::StrCat("(", a_text, ")", Of({" AND ", " "}), "(", b_text, ")"),
            [a = a, b = b](const v1::Job& job) { return a(job) && b(job); }};
  }

 private:
  static constexpr int64_t kStart = 1'767'225'600;  // 2026-01-01T00:00:00Z

  template <typename T>
  static bool Compare(const T& a, const std::string& op, const T& b) {
    return op == "<"    ? a < b
           : op == "<=" ? a <= b
           : op == ">"  ? a > b
           : op == ">=" ? a >= b
           : op == "!=" ? a != b
                        : a == b;
  }

  std::pair<std::string, Says> Comparison() {
    const std::string op = Of({"=", "!=", "<", "<=", ">", ">=", ":"});
    const std::string equality = Of({"=", "!=", ":"});
    switch (Roll(14)) {
      case 0: {
        const auto state = static_cast<v1::JobState>(1 + Roll(5));
        return {absl::StrCat("state ", equality, " ", v1::JobState_Name(state)),
                [=](const v1::Job& job) { return Compare(job.state(), equality, state); }};
      }
      case 1: {
        const std::string value = Of({"bilinear.spectrum", "sparse.learn", "nothing"});
        return {absl::StrCat("analysis", op, value), [=](const v1::Job& job) {
                  return Compare<std::string>(job.analysis(), op, value);
                }};
      }
      case 2:
        return {absl::StrCat("analysis ", equality, " \"bilinear.*\""), [=](const v1::Job& job) {
                  return (job.analysis().rfind("bilinear.", 0) == 0) == (equality != "!=");
                }};
      case 3: {
        const std::string value = Of({"core", "web", "", "nothing"});
        return {absl::StrCat("labels.team", equality, "\"", value, "\""), [=](const v1::Job& job) {
                  const auto found = job.labels().find("team");
                  const bool equal = found != job.labels().end() && found->second == value;
                  return equal == (equality != "!=");
                }};
      }
      case 4:
        return {Of({"labels:'run id'", "labels.\"run id\":*"}),
                [](const v1::Job& job) { return job.labels().contains("run id"); }};
      case 5:
        return {"labels.team = *core*", [](const v1::Job& job) {
                  const auto found = job.labels().find("team");
                  return found != job.labels().end() &&
                         found->second.find("core") != std::string::npos;
                }};
      default:
        return OtherComparison(op, equality);
    }
  }

  std::pair<std::string, Says> OtherComparison(const std::string& op, const std::string& equality) {
    const int64_t number = Roll(10) - 5;
    const absl::Time time =
        absl::FromUnixSeconds(kStart + Roll(30)) + absl::Nanoseconds(Roll(3));
    const std::string text =
        absl::StrCat("\"", absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone()), "\"");
    const std::string digest = Of({"abcdef", "abc", "nothing"});
    switch (Roll(9)) {
      case 0:
        return {absl::StrCat("create_time ", op, " ", text),
                [=](const v1::Job& job) { return Compare(FromTimestamp(job.create_time()), op, time); }};
      case 1:
        return {absl::StrCat("end_time ", op, " ", text), [=](const v1::Job& job) {
                  return job.has_end_time() ? Compare(FromTimestamp(job.end_time()), op, time)
                                            : op == "!=";
                }};
      case 2:
        return {"end_time:*", [](const v1::Job& job) { return job.has_end_time(); }};
      case 3:
        return {absl::StrCat("seed", op, number),
                [=](const v1::Job& job) { return Compare<int64_t>(job.seed(), op, number); }};
      case 4:
        return {absl::StrCat("error.code ", op, " ", number), [=](const v1::Job& job) {
                  return job.has_error() ? Compare<int64_t>(job.error().code(), op, number)
                                         : op == "!=";
                }};
      case 5:
        return {absl::StrCat("inputs.*.artifacts.digest:", digest), [=](const v1::Job& job) {
                  return std::any_of(
                      job.inputs().begin(), job.inputs().end(), [&](const auto& input) {
                        return input.second.artifacts(0).digest() == digest;
                      });
                }};
      case 6:
        return {"attempts.outcome:LOST", [](const v1::Job& job) {
                  return std::any_of(job.attempts().begin(), job.attempts().end(),
                                     [](const auto& a) { return a.outcome() == "LOST"; });
                }};
      case 7:
        return {absl::StrCat("params.k ", op, " ", number), [=](const v1::Job& job) {
                  const auto k = job.params().fields().find("k");
                  return k == job.params().fields().end()
                             ? op == "!="
                             : Compare<double>(k->second.number_value(), op,
                                               static_cast<double>(number));
                }};
      default:
        return {absl::StrCat("device_kind", equality, "cpu analysis_version", op, "2"),
                [=](const v1::Job& job) {
                  return Compare<std::string>(job.device_kind(), equality, "cpu") &&
                         Compare<int64_t>(job.analysis_version(), op, 2);
                }};
    }
  }

  std::mt19937_64 random_;
};

TEST_F(JobListTest, RandomFiltersAndOrdersAgreeWithASlowReference) {
  constexpr int kJobs = 300, kFilters = 600;
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  Dice dice(seed);
  std::vector<v1::Job> jobs;
  for (int i = 0; i < kJobs; ++i) jobs.push_back(dice.Job(i));
  Insert(jobs);
  int found = 0;
  for (int i = 0; i < kFilters; ++i) {
    const auto [filter, says] = dice.Filter(i % 4);
    const std::string tenant = dice.Of({"default", "other"});
    v1::ListJobsRequest request;
    request.set_filter(filter);
    request.set_order_by(
        dice.Of({"", "create_time", "create_time desc", "end_time", "end_time desc"}));
    request.set_page_size(1 + dice.Roll(100));
    const bool by_end = request.order_by().rfind("end", 0) == 0;
    auto key = [&](int number) {
      const v1::Job& job = jobs[number];
      const absl::Time time = FromTimestamp(by_end ? job.end_time() : job.create_time());
      return std::pair(time, number);
    };
    std::vector<int> numbers;
    for (int j = 0; j < kJobs; ++j) {
      if (jobs[j].tenant() == tenant && says(jobs[j])) numbers.push_back(j);
    }
    std::sort(numbers.begin(), numbers.end(), [&](int a, int b) { return key(a) < key(b); });
    if (request.order_by() != "create_time" && request.order_by() != "end_time") {
      std::reverse(numbers.begin(), numbers.end());
    }
    std::vector<std::string> expected;
    for (const int number : numbers) expected.push_back(jobs[number].id());
    found += static_cast<int>(expected.size());
    ASSERT_EQ(List(request, tenant), expected) << filter << " by " << request.order_by();
  }
  EXPECT_GT(found, kFilters);  // it is about something
}

TEST_F(JobListTest, WhatWasThereIsListedOnceWhateverComesAndGoes) {
  std::vector<v1::Job> jobs;
  for (int i = 0; i < 60; ++i) {
    jobs.push_back(Job(absl::StrCat("old-", i)));
    (*jobs.back().mutable_labels())["team"] = "core";
    if (i % 4 == 0) clock_.Advance(absl::Seconds(1));
  }
  Insert(jobs);
  for (const char* filter : {"", "labels.team = core", "state = QUEUED"}) {
    for (const char* order : {"", "create_time"}) {
      v1::ListJobsRequest request;
      request.set_filter(filter);
      request.set_order_by(order);
      request.set_page_size(7);
      int number = 0;
      const std::vector<std::string> listed = List(request, kDefaultTenant, [&] {
        if (number == 20) return;  // upwards, the list ends after what comes
        clock_.Jump(absl::Seconds(number % 2 == 0 ? -7 : 8));
        v1::Job late = Job(absl::StrCat(filter, order, "late-", number++));
        (*late.mutable_labels())["team"] = "core";
        Insert({late});
        Transact([&](JobTransaction& transaction) -> absl::Status {
          if (number % 3 != 0) return absl::OkStatus();
          auto row = transaction.Get(late.id());
          EXPECT_OK(row);
          return transaction.Delete(*row);
        });
      });
      std::map<std::string, int> times;
      for (const std::string& id : listed) ++times[id];
      for (const v1::Job& job : jobs) EXPECT_EQ(times[job.id()], 1) << job.id() << filter << order;
      for (const auto& [id, count] : times) EXPECT_EQ(count, 1) << id;
    }
  }
}

TEST_F(JobListTest, PagesWhileOthersWrite) {
  std::vector<v1::Job> jobs;
  for (int i = 0; i < 200; ++i) jobs.push_back(Job(absl::StrCat("old-", i)));
  Insert(jobs);
  v1::ListJobsRequest request;
  request.set_page_size(9);
  std::map<std::string, int> times;
  {
    std::jthread writer([&](std::stop_token stop) {
      for (int i = 0; !stop.stop_requested(); ++i) Insert({Job(absl::StrCat("new-", i))});
    });
    for (const std::string& id : List(request)) ++times[id];
  }
  for (const v1::Job& job : jobs) EXPECT_EQ(times[job.id()], 1) << job.id();
}

TEST_F(JobListTest, ACallLooksAtSoManyRowsOnly) {
  std::vector<v1::Job> jobs;
  for (int i = 0; i < 2'500; ++i) {
    jobs.push_back(Job(absl::StrCat(i)));
    jobs.back().set_seed(i);
  }
  Insert(jobs);
  v1::ListJobsRequest request;
  request.set_filter("seed = 3");  // the record alone tells
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse page, Page(request));
  EXPECT_EQ(page.jobs_size(), 0);
  ASSERT_NE(page.next_page_token(), "") << "short, but not the last";
  EXPECT_THAT(List(request), ElementsAre("3"));
}

TEST_F(JobListTest, TokensAreOfOneFilterOrderAndTenant) {
  Insert({Job("a"), Job("b"), Job("c")});
  v1::ListJobsRequest request;
  request.set_filter("state = QUEUED");
  request.set_page_size(1);
  ASSERT_OK_AND_ASSIGN(v1::ListJobsResponse page, Page(request));
  request.set_page_token(page.next_page_token());
  EXPECT_OK(Page(request));
  EXPECT_THAT(Page(request, "other"), StatusIs(kInvalid, HasSubstr("page_token")));
  v1::ListJobsRequest other = request;
  other.set_filter("state = QUEUED seed = 0");
  EXPECT_THAT(Page(other), StatusIs(kInvalid, HasSubstr("page_token")));
  other = request;
  other.set_order_by("create_time");
  EXPECT_THAT(Page(other), StatusIs(kInvalid, HasSubstr("page_token")));
  other.set_page_token("garbage");
  EXPECT_THAT(Page(other), StatusIs(kInvalid, HasSubstr("page_token")));
}

TEST_F(JobListTest, WrongFiltersAndOrdersAreRefused) {
  v1::ListJobsRequest request;
  request.set_filter("stat = QUEUED");
  EXPECT_THAT(Page(request), StatusIs(kInvalid, HasSubstr("\"stat\" is no field; nearest: state")));
  request.set_filter("");
  for (const char* order : {"seed", "create_time asc", "create_time, end_time", "desc"}) {
    request.set_order_by(order);
    EXPECT_THAT(Page(request), StatusIs(kInvalid, HasSubstr("create_time, end_time is allowed")));
  }
}

TEST_F(JobListTest, ValuesThatMeanSomethingToSqlAreValues) {
  v1::Job job = Job("a'b");
  (*job.mutable_labels())["k'); --"] = "%_' OR 1=1";
  Insert({job, Job("other")});
  EXPECT_THAT(Filtered("id = \"a'b\""), ElementsAre("a'b"));
  EXPECT_THAT(Filtered("labels.\"k'); --\" = \"%_' OR 1=1\""), ElementsAre("a'b"));
  EXPECT_THAT(Filtered("id = \"' OR '1' = '1\""), IsEmpty());
}

TEST_F(JobListTest, ADeletedJobsLabelsAreGone) {
  v1::Job job = Job("a");
  (*job.mutable_labels())["team"] = "core";
  Insert({job});
  Transact([&](JobTransaction& transaction) -> absl::Status {
    auto row = transaction.Get("a");
    EXPECT_OK(row);
    return transaction.Delete(*row);
  });
  EXPECT_THAT(Filtered("labels.team = core"), IsEmpty());
  ASSERT_OK(store_->database->Read([](Connection& connection) -> absl::Status {
    Statement& count = connection.Prepare("SELECT count(*) FROM job_label");
    EXPECT_OK(count.Step());
    EXPECT_EQ(count.Int(0), 0);
    return absl::OkStatus();
  }));
}

// Nothing is sorted: what a page costs doesn't depend on how many jobs there are.
TEST_F(JobListTest, EveryScanWalksAlongAnIndex) {
  for (const char* text :
       {"", "state = QUEUED", "labels.team = core", "labels.team = core create_time > "
        "2026-01-01T00:00:00Z", "seed = 1 OR state = QUEUED", "end_time > 2026-01-01T00:00:00Z"}) {
    for (const char* by : {"", "create_time", "end_time", "end_time desc"}) {
      ASSERT_OK_AND_ASSIGN(const MessageFilter filter,
                           MessageFilter::Parse(text, v1::Job::descriptor()));
      ASSERT_OK_AND_ASSIGN(const JobOrder order, ParseJobOrder(by));
      const JobScan scan("default", filter, order, std::nullopt);
      ASSERT_OK(store_->database->Read([&](Connection& connection) -> absl::Status {
        Statement plan = connection.PrepareOnce("EXPLAIN QUERY PLAN " + scan.sql());
        std::vector<std::string> steps;
        for (auto row = plan.Step(); row.ok() && *row; row = plan.Step()) {
          steps.emplace_back(plan.Text(3));
        }
        EXPECT_FALSE(steps.empty());
        const std::string all = absl::StrJoin(steps, "; ");
        EXPECT_THAT(all, ::testing::Not(HasSubstr("TEMP B-TREE"))) << text << by;
        EXPECT_THAT(all, ::testing::Not(HasSubstr("SCAN"))) << text << by;
        return absl::OkStatus();
      }));
    }
  }
}

TEST(JobListMigration, JobsOfBeforeAreFoundByTimesAndLabels) {
  constexpr int kBefore = 7;  // no times and labels beside the record
  const TemporaryFolder folder = *TemporaryFolder::Make();
  const std::string path = folder.path() + "/radiograph.db";
  testing::FakeClock clock;
  v1::Job job;
  job.set_id("old");
  job.set_analysis("test.analysis");
  job.set_state(v1::FAILED);
  *job.mutable_create_time() = ToTimestamp(clock.Now() - absl::Hours(2));
  *job.mutable_end_time() = ToTimestamp(clock.Now() - absl::Hours(1));
  (*job.mutable_labels())["team"] = "core";
  {
    ASSERT_OK_AND_ASSIGN(Connection old, Connection::Open(path, Connection::Mode::kReadWrite));
    ASSERT_OK(MigrateSchema(old, kBefore));
    for (const char* id : {"old", "older"}) {
      job.set_id(id);
      ASSERT_OK(old.Prepare("INSERT INTO job (id, tenant, state, analysis, version, device_kind, "
                            "memory, request_id, request_digest, cache_key, lease_token, embedded, "
                            "events, record) VALUES (?, 'mine', 4, 'test.analysis', 1, '', 0, '', "
                            "'', '', '', 0, 0, ?)")
                    .Bind(1, job.id())
                    .BindBlob(2, job.SerializeAsString())
                    .Run());
      job.mutable_create_time()->set_seconds(job.create_time().seconds() - 7200);
      job.clear_end_time();
      job.clear_labels();
    }
  }
  Disk disk;
  ASSERT_OK_AND_ASSIGN(const auto store, Store::Open({.folder = folder.path()}, &clock, &disk));
  auto list = [&](const std::string& filter) {
    v1::ListJobsRequest request;
    request.set_filter(filter);
    request.set_order_by("create_time");
    auto page = store->jobs.List("mine", request, [](JobRow&) {});
    EXPECT_OK(page);
    std::vector<std::string> ids;
    for (const v1::Job& listed : page->jobs()) ids.push_back(listed.id());
    return ids;
  };
  EXPECT_THAT(list(""), ElementsAre("older", "old"));
  EXPECT_THAT(list("labels.team = core"), ElementsAre("old"));
  EXPECT_THAT(list("end_time > 2025-12-31T00:00:00Z"), ElementsAre("old"));
  EXPECT_THAT(list("create_time < 2025-12-31T21:00:00Z"), ElementsAre("older"));
}

}  // namespace
}  // namespace radiograph
