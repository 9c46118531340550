#include "server/store/database.h"

#include <atomic>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "server/store/job_store.h"
#include "server/store/schema.h"
#include "server/store/state_folder.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::Status AddName(Connection& connection, const std::string& name) {
  return connection
      .Prepare("INSERT INTO artifact_name (tenant, name, last_version) VALUES ('t', ?, 1)")
      .Bind(1, name)
      .Run();
}

class DatabaseTest : public ::testing::Test {
 protected:
  DatabaseTest() : folder_(*TemporaryFolder::Make()), path_(folder_.path() + "/radiograph.db") {}
  std::unique_ptr<Database> Open() {
    auto database = Database::Open({.path = path_, .check_integrity = true});
    EXPECT_OK(database);
    return *std::move(database);
  }
  static int64_t CountNames(Database& database) {
    int64_t count = -1;
    EXPECT_OK(database.Read([&](Connection& connection) -> absl::Status {
      Statement& rows = connection.Prepare("SELECT count(*) FROM artifact_name");
      ASSIGN_OR_RETURN(bool found, rows.Step());
      if (found) count = rows.Int(0);
      return absl::OkStatus();
    }));
    return count;
  }

  const TemporaryFolder folder_;
  const std::string path_;
};

TEST_F(DatabaseTest, ReopenKeepsWrites) {
  EXPECT_OK(Open()->Write([](Connection& connection) { return AddName(connection, "a"); }));
  EXPECT_EQ(CountNames(*Open()), 1);
}

TEST_F(DatabaseTest, AWriteThatFailsLeavesNoTraceAndSpoilsNoOther) {
  auto database = Open();
  // Holds the writer until three writes wait: they form one group.
  absl::Notification queued;
  database->Submit([&](Connection&) { return queued.WaitForNotification(), absl::OkStatus(); },
                   [](absl::Status) {});
  std::vector<absl::Status> statuses(3);
  for (int i = 0; i < 3; ++i) {
    database->Submit(
        [i](Connection& connection) -> absl::Status {
          RETURN_IF_ERROR(AddName(connection, absl::StrCat("name", i)));
          return i == 1 ? absl::AbortedError("not this one") : absl::OkStatus();
        },
        [&statuses, i](absl::Status status) { statuses[i] = std::move(status); });
  }
  queued.Notify();
  EXPECT_OK(database->Write([](Connection&) { return absl::OkStatus(); }));
  EXPECT_OK(statuses[0]);
  EXPECT_THAT(statuses[1], StatusIs(absl::StatusCode::kAborted, "not this one"));
  EXPECT_OK(statuses[2]);
  EXPECT_EQ(CountNames(*database), 2);
}

TEST_F(DatabaseTest, ManyWritersAllGetTheirAnswer) {
  auto database = Open();
  {
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < 8; ++writer) {
      writers.emplace_back([&, writer] {
        for (int i = 0; i < 50; ++i) {
          EXPECT_OK(database->Write([&](Connection& connection) {
            return AddName(connection, absl::StrCat(writer, "/", i));
          }));
        }
      });
    }
  }
  EXPECT_EQ(CountNames(*database), 400);
}

TEST_F(DatabaseTest, DestructionCommitsWhatIsQueued) {
  auto database = Open();
  std::atomic<int> done = 0;
  for (int i = 0; i < 600; ++i) {
    database->Submit([i](Connection& connection) { return AddName(connection, absl::StrCat(i)); },
                     [&](absl::Status status) { done += status.ok(); });
  }
  database.reset();
  EXPECT_EQ(done, 600);
  EXPECT_EQ(CountNames(*Open()), 600);
}

TEST_F(DatabaseTest, AFullDiskIsResourceExhaustedAndPasses) {
  auto database = Open();
  EXPECT_OK(database->Write([](Connection&) { return absl::OkStatus(); }));
  auto set_pages_max = [&](const char* pragma) {
    return database->Write([=](Connection& connection) { return connection.Execute(pragma); });
  };
  ASSERT_OK(set_pages_max("PRAGMA max_page_count = 1"));  // SQLite takes the present count
  EXPECT_THAT(database->Write([](Connection& connection) {
    return AddName(connection, std::string(100'000, 'x'));
  }),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("full")));
  ASSERT_OK(set_pages_max("PRAGMA max_page_count = 1000000"));
  EXPECT_OK(database->Write([](Connection& connection) { return AddName(connection, "a"); }));
  EXPECT_EQ(CountNames(*database), 1);
}

TEST_F(DatabaseTest, ReadersCanNotWrite) {
  auto database = Open();
  EXPECT_THAT(database->Read([](Connection& connection) { return AddName(connection, "a"); }),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("readonly")));
}

TEST_F(DatabaseTest, TooManyQueuedWritesAreRefused) {
  absl::Notification running, go_on;  // outlive the database, whose thread waits for one
  ASSERT_OK_AND_ASSIGN(auto database, Database::Open({.path = path_, .writes_max = 1}));
  database->Submit(
      [&](Connection&) {
        running.Notify();
        go_on.WaitForNotification();
        return absl::OkStatus();
      },
      [](absl::Status) {});
  running.WaitForNotification();
  database->Submit([](Connection&) { return absl::OkStatus(); }, [](absl::Status) {});
  EXPECT_THAT(database->Write([](Connection&) { return absl::OkStatus(); }),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("1 writes wait")));
  go_on.Notify();
}

TEST_F(DatabaseTest, ASchemaOfANewerVersionIsRefused) {
  EXPECT_OK(Open()->Write(
      [](Connection& connection) { return connection.Execute("PRAGMA user_version = 99"); }));
  EXPECT_THAT(Database::Open({.path = path_}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("schema 99")));
}

TEST_F(DatabaseTest, JobsAndBlobsOfTheFirstSchemaAreKept) {
  v1::Job job;
  job.set_id("old");
  job.set_state(v1::RUNNING);
  {
    ASSERT_OK_AND_ASSIGN(Connection old, Connection::Open(path_, Connection::Mode::kReadWrite));
    ASSERT_OK(MigrateSchema(old, 1));
    ASSERT_OK(old.Prepare("INSERT INTO job VALUES (1, 'old', 2, 'a', 1, '', 7, 'r', 'd', 'k', 't', "
                          "0, 1, ?)")
                  .BindBlob(1, job.SerializeAsString())
                  .Run());
    ASSERT_OK(old.Execute("INSERT INTO blob VALUES ('b', 5, x'1234')"));
  }
  auto database = Open();
  JobStore jobs(database.get());
  ASSERT_OK_AND_ASSIGN(JobRow row, jobs.Get({kDefaultTenant, "old"}));
  EXPECT_EQ(row.memory_bytes, 7);
  EXPECT_EQ(row.lease_token, "t");
  EXPECT_EQ(row.job.tenant(), kDefaultTenant);
  EXPECT_TRUE(jobs.FindRequest(kDefaultTenant, "r")->has_value());
  // The digests of a blob's parts are dropped; its chain is made when it is read.
  EXPECT_OK(database->Read([](Connection& connection) -> absl::Status {
    Statement& blob =
        connection.Prepare("SELECT size FROM blob WHERE sha256 = 'b' AND chain = x''");
    ASSIGN_OR_RETURN(bool found, blob.Step());
    EXPECT_TRUE(found);
    EXPECT_EQ(blob.Int(0), 5);
    return absl::OkStatus();
  }));
}

// Each page in turn is lost, with all sizes of what is in it: tables, indexes, long records.
TEST_F(DatabaseTest, DamageIsFoundBeforeAnythingElse) {
  EXPECT_OK(Open()->Write([](Connection& connection) -> absl::Status {
    for (int i = 0; i < 60; ++i) {
      RETURN_IF_ERROR(AddName(connection, absl::StrCat(std::string(i * 20, 'x'), "name", i)));
      RETURN_IF_ERROR(connection
                          .Prepare("INSERT INTO artifact (tenant, name, version, kind, content, "
                                   "record) VALUES ('t', ?, 1, 1, ?, ?)")
                          .Bind(1, absl::StrCat("name", i))
                          .Bind(2, absl::StrCat("content", i))
                          .BindBlob(3, std::string(i * 100, 'r'))
                          .Run());
    }
    return absl::OkStatus();
  }));
  ASSERT_OK_AND_ASSIGN(const std::string whole, ReadFile(path_, 1 << 26));
  constexpr size_t kPage = 4096;
  ASSERT_GT(whole.size(), 80 * kPage);
  std::mt19937 random(1);
  int content_only = 0;
  for (size_t begin = 0; begin < whole.size(); begin += kPage) {
    SCOPED_TRACE(begin / kPage);
    std::string bytes = whole;
    for (size_t i = begin; i < begin + kPage; ++i) bytes[i] = static_cast<char>(random());
    ASSERT_OK(WriteFile(path_, bytes));
    const auto opened = Database::Open({.path = path_, .check_integrity = true});
    // The rest of a long record is bytes that no structure shows to be others.
    content_only += opened.ok();
    if (opened.ok()) continue;
    EXPECT_THAT(opened, StatusIs(absl::StatusCode::kDataLoss,
                                 AllOf(HasSubstr("radiograph.db is damaged"),
                                       HasSubstr("restore it from a backup"))));
  }
  EXPECT_LT(content_only * kPage, whole.size() / 2);
  ASSERT_OK(WriteFile(path_, whole));
  EXPECT_EQ(CountNames(*Open()), 60);
}

TEST(StateFolder, ASecondServerIsRefusedAndToldWho) {
  ASSERT_OK_AND_ASSIGN(TemporaryFolder folder, TemporaryFolder::Make());
  ASSERT_OK_AND_ASSIGN(StateFolder first, StateFolder::Lock(folder.path()));
  EXPECT_THAT(StateFolder::Lock(folder.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(folder.path()),
                             HasSubstr(absl::StrCat("process ", getpid())), HasSubstr("--state"))));
}

TEST(StateFolder, OnlyACleanEndIsClean) {
  ASSERT_OK_AND_ASSIGN(TemporaryFolder folder, TemporaryFolder::Make());
  auto lock = [&] { return *StateFolder::Lock(folder.path()); };
  EXPECT_FALSE(lock().unclean());  // new; ends without SetOpened
  {
    StateFolder again = lock();
    EXPECT_TRUE(again.unclean());
    again.SetOpened();
  }
  EXPECT_FALSE(lock().unclean());
}

}  // namespace
}  // namespace radiograph
