#include "server/store/check.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "server/store/backup.h"
#include "server/store/messages.h"
#include "server/store/schema.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_disk.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

namespace fs = std::filesystem;
using ::radiograph::testing::FakeClock;
using ::radiograph::testing::FakeDisk;
using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kNeverStopped = [] { return false; };

class DoctorTest : public ::testing::Test {
 protected:
  DoctorTest() : folder_(*TemporaryFolder::Make()), state_(folder_.path() + "/state") { Open(); }
  void Open() {
    store_.reset();
    auto store = Store::Open({.folder = state_, .on_damaged = [this] { ++damaged_; }}, &clock_,
                             &disk_);
    ASSERT_OK(store);
    store_ = *std::move(store);
    collector_ = std::make_unique<Collector>(
        Collector::Options{.keep_blobs = absl::Hours(1)}, store_.get(), &clock_,
        [](absl::Span<const JobKey>) { return absl::OkStatus(); });
  }

  std::vector<v1::Problem> Problems(bool digests = false) {
    v1::CheckRequest request;
    request.set_digests(digests);
    std::vector<v1::Problem> problems;
    bool done = false;
    auto tell = [&](const v1::CheckResponse& response) {
      EXPECT_FALSE(done) << "nothing after the end";
      if (response.has_problem()) problems.push_back(response.problem());
      last_ = response;
      done = response.done();
      return absl::OkStatus();
    };
    EXPECT_OK(Check(*store_, request, clock_, kNeverStopped, tell));
    EXPECT_TRUE(done);
    EXPECT_EQ(last_.problems(), static_cast<int64_t>(problems.size()));
    return problems;
  }
  std::vector<std::string> Reasons(bool digests = false) {
    std::vector<std::string> reasons;
    for (const v1::Problem& problem : Problems(digests)) reasons.push_back(problem.reason());
    return reasons;
  }
  std::string Put(const std::string& bytes) {
    auto blob = store_->blobs->PutBytes(kDefaultTenant, bytes);
    EXPECT_OK(blob);
    return blob->sha256();
  }
  std::string PathOf(const std::string& sha256) {
    return absl::StrCat(state_, "/blobs/", sha256.substr(0, 2), "/", sha256);
  }
  void Overwrite(const std::string& sha256, const std::string& bytes) {
    fs::permissions(PathOf(sha256), fs::perms::owner_all);
    ASSERT_OK(WriteFile(PathOf(sha256), bytes));
  }
  void Register(const std::string& name, const std::string& bytes) {
    v1::Artifact artifact;
    artifact.set_name(name);
    artifact.set_kind(v1::MODEL);
    v1::ArtifactFile& file = *artifact.add_files();
    file.set_name("model.safetensors");
    file.mutable_blob()->set_sha256(Sha256Hex(bytes));
    file.mutable_blob()->set_size(static_cast<int64_t>(bytes.size()));
    ASSERT_OK(store_->catalogue.Create(kDefaultTenant, artifact));
  }
  void Execute(const char* sql) {
    ASSERT_OK(store_->database->Write(
        [&](Connection& connection) { return connection.Execute(sql); }));
  }
  // A job that waits.
  void AddJob(const std::string& id) {
    JobRow row;
    row.job.set_id(id);
    row.job.set_tenant(kDefaultTenant);
    row.job.set_state(v1::QUEUED);
    v1::JobEvent event;
    *event.mutable_time() = ToTimestamp(clock_.Now());
    ASSERT_OK(store_->database->Write([&](Connection& connection) {
      return JobTransaction(&connection).Insert(row, event, "{}");
    }));
  }
  absl::StatusOr<v1::Backup> Backup(Stopped stopped = kNeverStopped) {
    return MakeBackup(*store_, *collector_, clock_, disk_, stopped);
  }
  std::vector<std::string> Backups() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(state_ + "/backups")) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const TemporaryFolder folder_;
  const std::string state_;
  FakeClock clock_;
  FakeDisk disk_;
  int damaged_ = 0;
  v1::CheckResponse last_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Collector> collector_;
};

TEST_F(DoctorTest, AHealthyStoreHasNoProblems) {
  EXPECT_THAT(Reasons(true), IsEmpty());
  Put("weights");
  Put(std::string(5 << 20, 'x'));
  Register("net", "weights");
  AddJob("waits");
  EXPECT_THAT(Reasons(), IsEmpty());
  EXPECT_EQ(last_.bytes(), 0);
  EXPECT_THAT(Reasons(true), IsEmpty());
  EXPECT_EQ(last_.rows(), 2);
  EXPECT_EQ(last_.blobs(), 2);
  EXPECT_EQ(last_.bytes(), 7 + (5 << 20));
  EXPECT_EQ(damaged_, 0);
}

TEST_F(DoctorTest, EveryKindOfDamageIsFoundAndHealedByAnUpload) {
  struct Case {
    const char* reason;
    std::function<void(const std::string& sha256)> damage;
    bool digests;
  };
  for (const Case& c : std::vector<Case>{
           {"BLOB_MISSING",
            [this](const std::string& sha256) { fs::remove(PathOf(sha256)); }, false},
           {"BLOB_WRONG_SIZE",
            [this](const std::string& sha256) { Overwrite(sha256, "weight"); }, false},
           {"BLOB_DAMAGED",
            [this](const std::string& sha256) { Overwrite(sha256, "weighTs"); }, true}}) {
    SCOPED_TRACE(c.reason);
    const std::string sha256 = Put("weights");
    Register(absl::StrCat("net-", c.reason), "weights");
    const int before = damaged_;
    c.damage(sha256);
    EXPECT_THAT(Reasons(), SizeIs(c.digests ? 0 : 1)) << "not seen without reading";
    for (int i = 0; i < 2; ++i) {
      const std::vector<v1::Problem> problems = Problems(c.digests);
      ASSERT_THAT(problems, SizeIs(1));
      EXPECT_EQ(problems[0].reason(), c.reason);
      EXPECT_EQ(problems[0].subject(), sha256);
      EXPECT_THAT(problems[0].text(), HasSubstr("upload the same bytes again"));
      EXPECT_THAT(problems[0].needed_by(),
                  ::testing::Contains(absl::StrCat("artifact net-", c.reason, "@1")));
    }
    EXPECT_EQ(damaged_, before + 1) << "counted once";
    EXPECT_THAT(*store_->blobs->FindMissing(kDefaultTenant, {sha256}), ElementsAre(sha256));
    EXPECT_EQ(Put("weights"), sha256);  // as the hint says
    EXPECT_THAT(Reasons(true), IsEmpty());
    EXPECT_OK(store_->blobs->Path(sha256));
  }
}

TEST_F(DoctorTest, RowsThatDoNotFitAreFound) {
  Put("weights");
  Register("net", "weights");
  AddJob("waits");
  Execute("DELETE FROM possession");
  EXPECT_THAT(Reasons(), ElementsAre("REFERENCE_DANGLING"));
  Put("weights");
  EXPECT_THAT(Reasons(), IsEmpty());
  Execute("DELETE FROM job_request_text");
  std::vector<v1::Problem> problems = Problems();
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].reason(), "JOB_INCONSISTENT");
  EXPECT_EQ(problems[0].subject(), "job waits");
  EXPECT_THAT(problems[0].text(), HasSubstr("lost its request"));
  Execute("DELETE FROM job");
  EXPECT_THAT(Reasons(), ElementsAre("ROW_ORPHANED"));  // its event
  Execute("DELETE FROM event; UPDATE artifact SET record = x'ff'");
  EXPECT_THAT(Reasons(), ElementsAre("RECORD_DAMAGED"));
  Execute("DELETE FROM artifact; DELETE FROM blob");
  EXPECT_THAT(Reasons(), ElementsAre("FILE_UNKNOWN", "ROW_ORPHANED"));
  Execute("DELETE FROM possession; UPDATE stored SET bytes = bytes + 1 WHERE tenant = ''");
  EXPECT_THAT(Reasons(), ElementsAre("FILE_UNKNOWN", "COUNTER_WRONG"));
}

TEST_F(DoctorTest, FilesThatNobodyKnowsAreFound) {
  const std::string sha256 = Put("weights");
  ASSERT_OK(WriteFile(state_ + "/blobs/notes.txt", ""));
  ASSERT_OK(WriteFile(absl::StrCat(state_, "/blobs/", sha256.substr(0, 2), "/", "core"), ""));
  ASSERT_OK(WriteFile(PathOf(sha256.substr(0, 63) + (sha256[63] == '0' ? "1" : "0")), "left"));
  EXPECT_THAT(Reasons(), ElementsAre("FILE_UNKNOWN", "FILE_UNKNOWN", "FILE_UNKNOWN"));
}

TEST_F(DoctorTest, ACheckEndsWhenNobodyListens) {
  Put("weights");
  EXPECT_THAT(Check(*store_, {}, clock_, [] { return true; },
                    [](const v1::CheckResponse&) { return absl::OkStatus(); }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("stop")));
  EXPECT_THAT(Check(*store_, {}, clock_, kNeverStopped,
                    [](const v1::CheckResponse&) { return absl::AbortedError("gone"); }),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("gone")));
}

TEST_F(DoctorTest, ABackupIsAStateFolderAtTheTimeOfItsMaking) {
  const std::string sha256 = Put("weights");
  Register("net", "weights");
  AddJob("waits");
  ASSERT_OK_AND_ASSIGN(const v1::Backup backup, Backup());
  EXPECT_EQ(backup.blobs(), 1);
  EXPECT_EQ(backup.blob_bytes(), 7);
  EXPECT_GT(backup.database_bytes(), 4096);
  Put("later");
  Register("later", "later");
  // The original is lost as a whole.
  const std::string copy = folder_.path() + "/restored";
  fs::copy(backup.folder(), copy, fs::copy_options::recursive);
  fs::remove_all(state_ + "/blobs");
  for (const std::string& state : {copy, backup.folder()}) {  // a copy of it, or where it is
    ASSERT_OK_AND_ASSIGN(auto restored, Store::Open({.folder = state}, &clock_, &disk_));
    EXPECT_OK(restored->catalogue.Get(kDefaultTenant, "net"));
    EXPECT_THAT(restored->catalogue.Get(kDefaultTenant, "later"),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("later")));
    EXPECT_OK(restored->jobs.Get({kDefaultTenant, "waits"}));
    EXPECT_EQ(*restored->blobs->ReadBytes(kDefaultTenant, sha256, 0, 0), "weights");
    v1::CheckRequest request;
    request.set_digests(true);
    auto tell = [](const v1::CheckResponse& response) {
      EXPECT_FALSE(response.has_problem()) << response.ShortDebugString();
      return absl::OkStatus();
    };
    EXPECT_OK(Check(*restored, request, clock_, kNeverStopped, tell));
  }
}

TEST_F(DoctorTest, OldBackupsGoAndTheNewestStay) {
  std::vector<std::string> made;
  for (int i = 0; i < kBackupsKept + 2; ++i) {
    clock_.Advance(absl::Hours(1));
    ASSERT_OK_AND_ASSIGN(const v1::Backup backup, Backup());
    made.push_back(fs::path(backup.folder()).filename().string());
  }
  EXPECT_EQ(Backups(), std::vector<std::string>(made.end() - kBackupsKept, made.end()));
}

// The N-th step towards the disk fails, and all after it. What is there has its name only when it
// is whole, and the next backup cleans up.
TEST_F(DoctorTest, ABackupThatBrokeOffIsNotTakenForOne) {
  for (int i = 0; i < 3; ++i) Put(absl::StrCat("blob ", i));
  for (int step = 1;; ++step) {
    SCOPED_TRACE(step);
    clock_.Advance(absl::Seconds(1));
    disk_.FailFrom(step);
    const auto backup = Backup();
    const bool failed = disk_.failed();
    disk_.FailFrom(0);
    for (const std::string& name : Backups()) {
      if (absl::string_view(name).substr(0, 1) == ".") continue;
      const std::string folder = absl::StrCat(state_, "/backups/", name);
      ASSERT_OK_AND_ASSIGN(auto store, Store::Open({.folder = folder}, &clock_, &disk_));
      for (int i = 0; i < 3; ++i) {
        const std::string sha256 = Sha256Hex(absl::StrCat("blob ", i));
        EXPECT_OK(store->blobs->ReadBytes(kDefaultTenant, sha256, 0, 0));
      }
    }
    clock_.Advance(absl::Seconds(1));
    EXPECT_OK(Backup());
    for (const std::string& name : Backups()) EXPECT_NE(name[0], '.');
    if (!failed) {
      EXPECT_OK(backup);
      EXPECT_GT(step, 8);
      return;
    }
  }
}

TEST_F(DoctorTest, NothingIsCollectedDuringABackup) {
  Put("weights");
  ASSERT_OK(collector_->Collect(false, kNeverStopped));
  clock_.Advance(absl::Hours(1));
  auto collect = [&] { EXPECT_OK(collector_->Collect(false, kNeverStopped)); };
  std::optional<std::jthread> collecting;
  bool checked = false;
  ASSERT_OK_AND_ASSIGN(const v1::Backup backup, Backup([&] {
    // Asked before every blob: the database has been copied.
    if (!collecting) collecting.emplace(collect);
    checked = fs::exists(PathOf(Sha256Hex("weights")));
    return false;
  }));
  EXPECT_TRUE(checked);
  EXPECT_EQ(backup.blobs(), 1);
  collecting.reset();
  EXPECT_FALSE(fs::exists(PathOf(Sha256Hex("weights"))));
  ASSERT_OK_AND_ASSIGN(auto copy, Store::Open({.folder = backup.folder()}, &clock_, &disk_));
  EXPECT_OK(copy->blobs->ReadBytes(kDefaultTenant, Sha256Hex("weights"), 0, 0));
}

TEST_F(DoctorTest, AStopEndsABackup) {
  Put("weights");
  EXPECT_THAT(Backup([] { return true; }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("stop")));
  EXPECT_OK(Backup());
}

// What a server of that version stored: a job, an artifact, their blob.
absl::Status StoreAsOf(int64_t version, const std::string& folder) {
  const std::string sha256 = Sha256Hex("weights"), record_of_blob = version < 3 ? "parts" : "chain";
  const bool tenants = version >= 4;
  RETURN_IF_ERROR(MakeFolders(absl::StrCat(folder, "/blobs/", sha256.substr(0, 2))));
  RETURN_IF_ERROR(
      WriteFile(absl::StrCat(folder, "/blobs/", sha256.substr(0, 2), "/", sha256), "weights"));
  v1::Artifact artifact;
  artifact.set_name("net");
  artifact.set_version(1);
  artifact.set_kind(v1::MODEL);
  v1::ArtifactFile& file = *artifact.add_files();
  file.set_name("model.safetensors");
  file.mutable_blob()->set_sha256(sha256);
  file.mutable_blob()->set_size(7);
  v1::Job job;
  job.set_id("old");
  job.set_state(v1::SUCCEEDED);
  *job.add_result() = file;
  *(*job.mutable_inputs())["model"].add_artifacts() = artifact;
  ASSIGN_OR_RETURN(Connection old, Connection::Open(folder + "/radiograph.db",
                                                    Connection::Mode::kReadWrite));
  RETURN_IF_ERROR(MigrateSchema(old, version));
  RETURN_IF_ERROR(old.Prepare(absl::StrCat("INSERT INTO blob (sha256, size, ", record_of_blob,
                                           ") VALUES (?, 7, x'')"))
                      .Bind(1, sha256)
                      .Run());
  RETURN_IF_ERROR(old.Prepare("INSERT INTO job (id, state, analysis, version, device_kind, memory, "
                              "request_id, request_digest, cache_key, lease_token, embedded, "
                              "events, record) VALUES ('old', 3, 'a', 1, '', 7, 'r', 'd', 'k', "
                              "'t', 0, 1, ?)")
                      .BindBlob(1, job.SerializeAsString())
                      .Run());
  RETURN_IF_ERROR(old.Execute("INSERT INTO event VALUES (1, 1, x'');"
                              "INSERT INTO job_request_text VALUES (1, '{}')"));
  RETURN_IF_ERROR(old.Prepare(absl::StrCat("INSERT INTO artifact (", tenants ? "tenant, " : "",
                                           "name, version, kind, content, record) VALUES (",
                                           tenants ? "'default', " : "", "'net', 1, 1, 'c', ?)"))
                      .BindBlob(1, artifact.SerializeAsString())
                      .Run());
  RETURN_IF_ERROR(old.Execute(tenants ? "INSERT INTO artifact_name VALUES ('default', 'net', 1)"
                                      : "INSERT INTO artifact_name VALUES ('net', 1)"));
  if (!tenants) return absl::OkStatus();
  return old.Prepare("INSERT INTO possession (tenant, sha256) VALUES ('default', ?)")
      .Bind(1, sha256)
      .Run();
}

TEST_F(DoctorTest, StoresOfAllEarlierVersionsAreTakenUpWhole) {
  for (int64_t version = 1; version <= kSchemaVersion; ++version) {
    SCOPED_TRACE(version);
    const std::string folder = absl::StrCat(folder_.path(), "/version", version);
    ASSERT_OK(StoreAsOf(version, folder));
    ASSERT_OK_AND_ASSIGN(auto store, Store::Open({.folder = folder}, &clock_, &disk_));
    v1::CheckRequest request;
    request.set_digests(true);
    auto tell = [](const v1::CheckResponse& response) {
      EXPECT_FALSE(response.has_problem()) << response.ShortDebugString();
      return absl::OkStatus();
    };
    EXPECT_OK(Check(*store, request, clock_, kNeverStopped, tell));
    EXPECT_OK(store->jobs.Get({kDefaultTenant, "old"}));
    EXPECT_TRUE(store->jobs.FindRequest(kDefaultTenant, "r")->has_value());
    EXPECT_OK(store->catalogue.Get(kDefaultTenant, "net@1"));
    EXPECT_EQ(*store->blobs->ReadBytes(kDefaultTenant, Sha256Hex("weights"), 0, 0), "weights");
    EXPECT_EQ(*store->blobs->TotalBytes(), 7);
  }
}

}  // namespace
}  // namespace radiograph
