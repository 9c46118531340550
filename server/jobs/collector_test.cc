// What the collector takes and what it leaves, on a real store with a real queue.
#include "server/store/collector.h"

#include <atomic>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "server/jobs/jobs_fixture.h"

namespace radiograph {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;

constexpr absl::Duration kKeepJobs = absl::Hours(24), kKeepBlobs = absl::Hours(2);

class CollectorTest : public testing::JobsFixture {
 protected:
  CollectorTest() { Start(); }
  void Start() {
    collector_ = std::make_unique<Collector>(
        Collector::Options{.keep_jobs = kKeepJobs, .keep_blobs = kKeepBlobs}, store_.get(), &clock_,
        [this](absl::Span<const JobKey> keys) {
          meanwhile_();
          return jobs_->Forget(keys);
        });
  }
  void StartAnew() {
    collector_.reset();
    Restart();
    Start();
  }
  v1::CollectResponse Collect(bool validate_only = false) {
    auto collected = collector_->Collect(validate_only, [] { return false; });
    EXPECT_OK(collected);
    return collected.ok() ? *collected : v1::CollectResponse();
  }
  // Two looks with the time in between that an unneeded blob is kept.
  v1::CollectResponse CollectTwice() {
    Collect();
    Advance(kKeepBlobs);
    return Collect();
  }

  std::string Put(const std::string& bytes, const std::string& tenant = kDefaultTenant) {
    auto blob = store_->blobs->PutBytes(tenant, bytes);
    EXPECT_OK(blob);
    return blob->sha256();
  }
  // Without asking for it, which would keep it.
  bool Has(const std::string& bytes, const std::string& tenant = kDefaultTenant) {
    auto read = store_->blobs->ReadBytes(tenant, Sha256Hex(bytes), 0, 0);
    return read.ok() && *read == bytes;
  }
  bool HasFile(const std::string& bytes) {
    const std::string sha256 = Sha256Hex(bytes);
    return std::filesystem::exists(
        absl::StrCat(folder_.path(), "/blobs/", sha256.substr(0, 2), "/", sha256));
  }
  v1::Artifact Manifest(const std::string& name, const std::string& bytes) {
    v1::Artifact artifact;
    artifact.set_name(name);
    artifact.set_kind(v1::MODEL);
    v1::ArtifactFile& file = *artifact.add_files();
    file.set_name("model.safetensors");
    file.mutable_blob()->set_sha256(Sha256Hex(bytes));
    file.mutable_blob()->set_size(static_cast<int64_t>(bytes.size()));
    return artifact;
  }
  absl::StatusOr<v1::Artifact> Register(const std::string& name, const std::string& bytes,
                                        const std::string& tenant = kDefaultTenant) {
    return store_->catalogue.Create(tenant, Manifest(name, bytes));
  }
  // A job with that input, which is there already.
  std::string CreateWith(const std::string& bytes, const std::string& cache_key = "") {
    ResolvedJob resolved = Resolved(cache_key);
    *(*resolved.job.mutable_inputs())["model"].add_artifacts() = Manifest("model", bytes);
    auto made = jobs_->Create({}, resolved);
    EXPECT_OK(made);
    Settle();
    return made.ok() ? made->job().id() : "";
  }
  void Succeed() {
    const v1::Lease lease = Take();
    EXPECT_OK(Ask(Done(lease, "SUCCEEDED")));
  }
  bool IsKept(const std::string& id) { return jobs_->Get(Key(id)).ok(); }

  // Called by a collection between its look and what it does of it, when a job is forgotten.
  std::function<void()> meanwhile_ = [] {};
  std::unique_ptr<Collector> collector_;
  absl::Mutex clock_mu_;  // held by who needs the clock to stand
};

TEST_F(CollectorTest, AnEndedJobGoesAfterItsTimeAndThenWhatItNeeded) {
  Put("weights");
  const std::string id = CreateWith("weights");
  Succeed();
  Advance(kKeepJobs - absl::Seconds(1));
  EXPECT_EQ(Collect().jobs(), 0);
  EXPECT_TRUE(IsKept(id));
  Advance(absl::Seconds(1));
  EXPECT_EQ(Collect(/*validate_only=*/true).jobs(), 1);
  EXPECT_TRUE(IsKept(id)) << "only asked";
  EXPECT_EQ(Collect().jobs(), 1);
  EXPECT_THAT(jobs_->Get(Key(id)), StatusIs(absl::StatusCode::kNotFound, HasSubstr(id)));
  EXPECT_EQ(jobs_->Snapshot()->jobs[v1::SUCCEEDED], 0);
  EXPECT_TRUE(Has("weights") && Has("{}")) << "unneeded since now";
  Advance(kKeepBlobs - absl::Seconds(1));
  EXPECT_EQ(Collect().blobs(), 0);
  Advance(absl::Seconds(1));
  EXPECT_EQ(Collect(/*validate_only=*/true).blobs(), 2);
  EXPECT_TRUE(HasFile("weights"));
  const v1::CollectResponse collected = Collect();
  EXPECT_EQ(collected.blobs(), 2);
  EXPECT_EQ(collected.bytes(), 9);
  EXPECT_FALSE(Has("weights") || Has("{}") || HasFile("weights") || HasFile("{}"));
  EXPECT_EQ(*store_->blobs->TotalBytes(), 0);
}

TEST_F(CollectorTest, WhatIsNeededStays) {
  for (const char* bytes : {"artifact", "open job's", "kept job's", "nobody's"}) Put(bytes);
  ASSERT_OK(Register("net", "artifact"));
  const std::string kept = CreateWith("kept job's");
  Succeed();
  const std::string open = CreateWith("open job's");
  CollectTwice();
  EXPECT_FALSE(Has("nobody's"));
  EXPECT_TRUE(Has("artifact") && Has("open job's") && Has("kept job's") && Has("{}"));
  Advance(kKeepJobs);
  CollectTwice();
  EXPECT_FALSE(IsKept(kept) || Has("kept job's") || Has("{}"));
  EXPECT_TRUE(IsKept(open) && Has("artifact") && Has("open job's"));
  ASSERT_OK(store_->catalogue.Delete(kDefaultTenant, "net@1", ""));
  ASSERT_OK(jobs_->Cancel(Key(open)));
  Advance(kKeepJobs);
  CollectTwice();
  EXPECT_FALSE(Has("artifact") || Has("open job's"));
}

TEST_F(CollectorTest, EachTenantKeepsItsOwn) {
  Put("weights", "a");
  Put("weights", "b");
  ASSERT_OK(Register("net", "weights", "a"));
  EXPECT_EQ(CollectTwice().blobs(), 0);
  EXPECT_TRUE(Has("weights", "a"));
  EXPECT_FALSE(Has("weights", "b"));
  EXPECT_THAT(Register("net", "weights", "b"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("upload")));
}

// The digits network's result, asked for every day, is computed once.
TEST_F(CollectorTest, AResultThatIsAskedForStaysInTheCache) {
  Put("weights");
  const std::string made = CreateWith("weights", "key");
  Succeed();
  std::string hit;
  for (int day = 0; day < 3; ++day) {
    Advance(kKeepJobs - absl::Hours(1));
    Collect();
    hit = CreateWith("weights", "key");
    EXPECT_TRUE(Get(hit).cache_hit()) << day;
    EXPECT_TRUE(IsKept(made)) << day;
  }
  Advance(kKeepJobs);
  Collect();
  EXPECT_FALSE(IsKept(made) || IsKept(hit));
  EXPECT_FALSE(Get(CreateWith("weights", "key")).cache_hit());
}

TEST_F(CollectorTest, WhatSomebodyWasToldOfStaysForAWhile) {
  using Tell = std::function<void(const std::string&, const std::string&)>;
  const std::map<std::string, Tell> tells = {
      {"FindMissing",
       [this](const std::string& tenant, const std::string& bytes) {
         EXPECT_THAT(*store_->blobs->FindMissing(tenant, {Sha256Hex(bytes)}), IsEmpty());
       }},
      {"Write",
       [this](const std::string& tenant, const std::string& bytes) { Put(bytes, tenant); }},
      {"QueryWriteStatus", [this](const std::string& tenant, const std::string& bytes) {
         v1::Blob blob = Manifest("", bytes).files(0).blob();
         EXPECT_TRUE(store_->blobs->QueryStatus(tenant, "u", blob)->complete());
       }}};
  for (const std::string tenant : {kDefaultTenant, kEveryTenant}) {  // a client, a worker
    for (const auto& [name, tell] : tells) {
      SCOPED_TRACE(absl::StrCat(name, " ", tenant));
      const std::string bytes = absl::StrCat(name, tenant);
      Put(bytes);
      Collect();
      Advance(kKeepBlobs - absl::Seconds(1));
      tell(tenant, bytes);
      StartAnew();
      Advance(absl::Seconds(1));
      Collect();
      EXPECT_TRUE(Has(bytes, tenant));
      Advance(kKeepBlobs - absl::Seconds(1));
      Collect();
      EXPECT_TRUE(Has(bytes, kEveryTenant));
      Advance(absl::Seconds(1));
      Collect();
      EXPECT_FALSE(Has(bytes, kEveryTenant));
    }
  }
}

// The collector has looked, and removes what it has seen unneeded; in between all else goes on.
TEST_F(CollectorTest, WhatIsNeededAfterTheLookStays) {
  const std::map<std::string, std::function<void(const std::string&)>> uses = {
      {"artifact", [this](const std::string& bytes) { ASSERT_OK(Register("net", bytes)); }},
      {"job", [this](const std::string& bytes) { CreateWith(bytes); }},
      {"told", [this](const std::string& bytes) {
         EXPECT_THAT(*store_->blobs->FindMissing(kDefaultTenant, {Sha256Hex(bytes)}), IsEmpty());
       }}};
  for (const auto& [name, use] : uses) {
    SCOPED_TRACE(name);
    Put(name);
    Collect();
    Create();
    Succeed();
    Advance(kKeepJobs);
    bool used = false;
    meanwhile_ = [&, use = use, name = name] { use(name), used = true; };
    EXPECT_EQ(Collect().jobs(), 1);
    EXPECT_TRUE(used);
    EXPECT_TRUE(Has(name));
    meanwhile_ = [] {};
  }
}

TEST_F(CollectorTest, AResultThatComesAfterTheLookStays) {
  Put("{}");  // as an earlier job left it
  Collect();
  Create();
  Succeed();
  Advance(kKeepJobs);
  const std::string second = Create();
  const v1::Lease lease = Take();
  ASSERT_OK(store_->database->Write([](Connection& connection) {
    return connection.Execute("UPDATE possession SET unneeded_since = 1");
  }));
  meanwhile_ = [&] { EXPECT_OK(Ask(Done(lease, "SUCCEEDED"))); };
  EXPECT_EQ(Collect().jobs(), 1);
  EXPECT_EQ(Get(second).state(), v1::SUCCEEDED);
  EXPECT_TRUE(Has("{}"));
}

TEST_F(CollectorTest, AClockThatJumpsMakesNothingOldEarly) {
  Put("weights");
  const std::string id = Create();
  Succeed();
  Collect();
  for (const absl::Duration jump : {absl::Hours(48), -absl::Hours(96), absl::Hours(48)}) {
    clock_.Jump(jump);
    Collect();
    EXPECT_TRUE(IsKept(id) && Has("weights")) << jump;
  }
  CollectTwice();
  EXPECT_FALSE(Has("weights"));
  EXPECT_TRUE(IsKept(id));
}

TEST_F(CollectorTest, AfterAClockWasSetBackBlobsStillGo) {
  Put("weights");
  Collect();
  clock_.Jump(-absl::Hours(24 * 365));
  StartAnew();
  CollectTwice();
  EXPECT_FALSE(Has("weights"));
}

TEST_F(CollectorTest, WhatACrashLeftIsSwept) {
  Put("lost its row");
  Put("kept");
  ASSERT_OK(Register("net", "kept"));
  ASSERT_OK(store_->database->Write([](Connection& connection) {
    return connection.Prepare("DELETE FROM blob WHERE sha256 = ?")
        .Bind(1, Sha256Hex("lost its row"))
        .Run();
  }));
  const std::string uploads = folder_.path() + "/uploads/";
  const std::string before_tenants = absl::StrCat(uploads, Sha256Hex("old"), ".u1");
  ASSERT_OK(WriteFile(before_tenants, "ol"));
  ASSERT_OK(WriteFile(folder_.path() + "/blobs/README", "somebody's own"));
  StartAnew();
  Collect();
  EXPECT_FALSE(HasFile("lost its row"));
  EXPECT_TRUE(Has("kept"));
  EXPECT_TRUE(std::filesystem::exists(folder_.path() + "/blobs/README"));
  EXPECT_TRUE(std::filesystem::exists(before_tenants));
  Advance(absl::Hours(24));
  Collect();
  EXPECT_FALSE(std::filesystem::exists(before_tenants));
}

TEST_F(CollectorTest, ADamagedRecordStopsItBeforeAnythingGoes) {
  Put("weights");
  Collect();
  Create();
  Advance(kKeepBlobs);
  ASSERT_OK(store_->database->Write([](Connection& connection) {
    return connection.Execute("UPDATE job SET record = x'ff'");
  }));
  EXPECT_THAT(collector_->Collect(false, [] { return false; }),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("record of 1 bytes")));
  EXPECT_TRUE(Has("weights"));
}

TEST_F(CollectorTest, AStopEndsIt) {
  for (int i = 0; i < 3; ++i) Put(absl::StrCat(i));
  EXPECT_THAT(collector_->Collect(false, [] { return true; }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("stop")));
}

// Clients ask and register while the collector removes. Who was told that a blob is here can use
// it; who was told that it isn't can upload it. The clock runs fast: everything is old at once.
TEST_F(CollectorTest, NobodyIsToldOfABlobThatIsGone) {
  constexpr int kBlobs = 8, kRounds = 300;
  std::atomic<bool> done = false;
  std::atomic<int> told = 0, uploaded = 0;
  auto client = [&](int number) {
    for (int round = 0; round < kRounds; ++round) {
      const std::string bytes = absl::StrCat("blob ", (round * 5 + number) % kBlobs);
      auto missing = store_->blobs->FindMissing(kDefaultTenant, {Sha256Hex(bytes)});
      ASSERT_OK(missing);
      ++(missing->empty() ? told : uploaded);
      if (!missing->empty()) Put(bytes);
      // keep_blobs has not passed since: the clock stands.
      absl::ReaderMutexLock lock(&clock_mu_);
      auto again = store_->blobs->FindMissing(kDefaultTenant, {Sha256Hex(bytes)});
      ASSERT_OK(again);
      if (!again->empty()) continue;  // the clock has moved in between
      const std::string name = absl::StrCat("net", number);
      auto made = Register(name, bytes);
      ASSERT_OK(made);
      ASSERT_TRUE(Has(bytes));
      ASSERT_OK(store_->catalogue.Delete(kDefaultTenant,
                                         absl::StrCat(name, "@", made->version()), ""));
    }
  };
  {
    std::jthread collecting([&] {
      while (!done) {
        Collect();
        absl::WriterMutexLock lock(&clock_mu_);
        clock_.Advance(kKeepBlobs);
      }
    });
    { std::jthread one([&] { client(0); }), two([&] { client(3); }), three([&] { client(4); }); }
    done = true;
  }
  std::cout << told << " times told of a blob, " << uploaded << " times not\n";
  EXPECT_GT(told, 0);
  EXPECT_GT(uploaded, 0);
}

}  // namespace
}  // namespace radiograph
