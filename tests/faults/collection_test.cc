// Random stores under a collector that is cut off now and then, against a plain idea of what is
// needed: after every collection all that is needed can be read, and all that was told of lately;
// at the end what nothing needs is gone, and nothing else has changed.
//   RADIOGRAPH_SEED=N             plays a run again
//   RADIOGRAPH_COLLECTION_RUNS=N  runs in all
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "server/jobs/jobs_fixture.h"
#include "server/store/check.h"
#include "server/store/collector.h"
#include "server/store/messages.h"
#include "tests/support/fake_disk.h"

namespace radiograph::testing {
namespace {

constexpr absl::Duration kKeepJobs = absl::Hours(24), kKeepBlobs = absl::Hours(4);
constexpr int kStepsPerRun = 250, kRunsDefault = 4;
const char* const kTenants[] = {"a", "b"};

using Owned = std::pair<std::string, std::string>;  // tenant, digest

class CollectionRun : public JobsFixture {
 public:
  explicit CollectionRun(uint32_t seed) : random_(seed) { Reopen(); }
  void TestBody() override {}

  void Run() {
    for (int step = 0; step < kStepsPerRun && !HasFailure(); ++step) Step();
    SCOPED_TRACE("at the end");
    int64_t jobs = 0;
    do {  // whose end comes while the blobs' time passes
      jobs = 0;
      for (int i = 0; i < 2; ++i) {
        Advance(kKeepBlobs);
        jobs += CollectWhole();
      }
    } while (jobs > 0);
    const std::set<Owned> needed = Needed();
    EXPECT_EQ(Rows("SELECT tenant, sha256 FROM possession"), needed);
    std::set<Owned> files, rows = Rows("SELECT '', sha256 FROM blob"), expected;
    for (const auto& [tenant, sha256] : needed) expected.insert({"", sha256});
    for (const auto& file :
         std::filesystem::recursive_directory_iterator(folder_.path() + "/blobs")) {
      if (file.is_regular_file()) files.insert({"", file.path().filename().string()});
    }
    EXPECT_EQ(rows, expected);
    EXPECT_EQ(files, expected);
    v1::CheckRequest request;
    request.set_digests(true);
    auto tell = [](const v1::CheckResponse& response) {
      EXPECT_FALSE(response.has_problem()) << response.ShortDebugString();
      return absl::OkStatus();
    };
    EXPECT_OK(Check(*store_, request, clock_, [] { return false; }, tell));
  }
  int64_t removed() const { return removed_; }
  int64_t cut_off() const { return cut_off_; }

 private:
  void Reopen() {
    collector_.reset();
    jobs_.reset();
    errands_.RunDue();
    store_.reset();
    failing_.FailFrom(0);
    auto store = Store::Open({.folder = folder_.path()}, &clock_, &failing_);
    ASSERT_OK(store);
    store_ = *std::move(store);
    auto jobs = Jobs::Open(options_, store_.get(), &clock_, &errands_, observer_);
    ASSERT_OK(jobs);
    jobs_ = *std::move(jobs);
    collector_ = std::make_unique<Collector>(
        Collector::Options{.keep_jobs = kKeepJobs, .keep_blobs = kKeepBlobs}, store_.get(), &clock_,
        [this](absl::Span<const JobKey> keys) {
          if (forget_fails_) return absl::UnavailableError("as the test wants");
          return jobs_->Forget(keys);
        });
  }

  int Chance(int below) { return static_cast<int>(random_() % below); }
  std::string Tenant() { return kTenants[Chance(2)]; }
  static std::string Bytes(int number) { return absl::StrCat("blob ", number); }
  static v1::ArtifactFile File(const std::string& name, const v1::Blob& blob) {
    v1::ArtifactFile file;
    file.set_name(name);
    *file.mutable_blob() = blob;
    return file;
  }
  template <typename T>
  const T* Any(const std::vector<T>& list) {
    return list.empty() ? nullptr : &list[Chance(static_cast<int>(list.size()))];
  }

  void Step() {
    const int what = Chance(100);
    if (what < 15) return Put();
    if (what < 25) return Register();
    if (what < 32) return DeleteArtifact();
    if (what < 47) return CreateJob();
    if (what < 62) return Work();
    if (what < 66) return Cancel();
    if (what < 69) return DeleteJob();
    if (what < 72) return Retry();
    if (what < 80) return AskFor();
    if (what < 90) return Advance(absl::Minutes(Chance(600)));
    if (what < 92) return Reopen();
    if (what < 96) return CollectCutOff();
    (void)CollectWhole();
  }

  void Put() {
    const std::string tenant = Chance(5) == 0 ? kEveryTenant : Tenant();
    auto blob = store_->blobs->PutBytes(tenant, Bytes(Chance(40)));
    ASSERT_OK(blob);
    told_[{tenant, blob->sha256()}] = clock_.Now();
  }
  void AskFor() {
    const std::string tenant = Chance(5) == 0 ? kEveryTenant : Tenant();
    const std::string sha256 = Sha256Hex(Bytes(Chance(40)));
    auto missing = store_->blobs->FindMissing(tenant, {sha256});
    ASSERT_OK(missing);
    if (missing->empty()) told_[{tenant, sha256}] = clock_.Now();
  }
  // Of what the tenant was told that it is here, it can make an artifact.
  void Register() {
    v1::Artifact artifact;
    const std::string tenant = Tenant();
    artifact.set_name(absl::StrCat("net", Chance(4)));
    artifact.set_kind(v1::MODEL);
    std::vector<v1::Blob> blobs;
    for (const auto& [of, when] : told_) {
      v1::Blob blob;
      blob.set_sha256(of.second);
      blob.set_size(SizeOf(of.second));
      if (of.first == tenant && clock_.Now() - when < kKeepBlobs) blobs.push_back(blob);
    }
    for (int i = 0; i <= Chance(3) && !blobs.empty(); ++i) {
      *artifact.add_files() = File(absl::StrCat("file", i), *Any(blobs));
    }
    if (artifact.files_size() == 0) return;
    EXPECT_OK(store_->catalogue.Create(tenant, artifact));
  }
  int64_t SizeOf(const std::string& sha256) {
    for (int i = 0; i < 40; ++i) {
      if (Sha256Hex(Bytes(i)) == sha256) return static_cast<int64_t>(Bytes(i).size());
    }
    return 0;
  }
  std::vector<v1::Artifact> Artifacts(const std::string& tenant) {
    std::vector<v1::Artifact> all;
    for (int i = 0; i < 4; ++i) {
      v1::ListArtifactsRequest request;
      request.set_name(absl::StrCat("net", i));
      request.set_page_size(1000);
      auto page = store_->catalogue.List(tenant, request);
      EXPECT_OK(page);
      all.insert(all.end(), page->artifacts().begin(), page->artifacts().end());
    }
    return all;
  }
  void DeleteArtifact() {
    const std::string tenant = Tenant();
    const auto all = Artifacts(tenant);
    const v1::Artifact* artifact = Any(all);
    if (artifact == nullptr) return;
    EXPECT_OK(store_->catalogue.Delete(
        tenant, absl::StrCat(artifact->name(), "@", artifact->version()), ""));
  }

  void CreateJob() {
    const std::string tenant = Tenant();
    ResolvedJob resolved = Resolved(Chance(3) == 0 ? "" : absl::StrCat("key", Chance(5)));
    resolved.job.set_tenant(tenant);
    const auto all = Artifacts(tenant);
    if (const v1::Artifact* input = Any(all)) {
      *(*resolved.job.mutable_inputs())["model"].add_artifacts() = *input;
    }
    v1::CreateJobRequest request;
    request.set_cache(Chance(6) == 0 ? v1::REFRESH : v1::USE);
    EXPECT_OK(jobs_->Create(request, resolved));
    Settle();
  }
  void Work() {
    v1::SynchronizeRequest idle = Slot("w/cpu", v1::IDLE);
    idle.set_answer_now(true);
    auto given = Ask(idle);
    ASSERT_OK(given);
    if (!given->has_lease()) return;
    if (Chance(4) == 0) Advance(absl::Minutes(Chance(20)));
    v1::SynchronizeRequest done = Holder(given->lease(), v1::DONE);
    done.mutable_report()->set_outcome(Chance(4) == 0 ? "FAILED" : "SUCCEEDED");
    if (done.report().outcome() == "SUCCEEDED") {
      auto blob = store_->blobs->PutBytes(kEveryTenant, Bytes(Chance(40)));
      ASSERT_OK(blob);
      *done.mutable_report()->add_result() = File("result.json", *blob);
    }
    ASSERT_OK(Ask(done));
  }
  std::vector<v1::Job> JobsOf(const std::string& tenant) {
    v1::ListJobsRequest request;
    request.set_page_size(1000);
    auto page = jobs_->List(tenant, request);
    EXPECT_OK(page);
    return {page->jobs().begin(), page->jobs().end()};
  }
  // Does it to one of the jobs, whatever the answer.
  void ToAJob(const std::function<void(const JobKey&)>& what) {
    const std::string tenant = Tenant();
    const auto all = JobsOf(tenant);
    if (const v1::Job* job = Any(all)) what({tenant, job->id()});
    Settle();
  }
  void Cancel() {
    ToAJob([this](const JobKey& key) { EXPECT_OK(jobs_->Cancel(key)); });
  }
  void DeleteJob() {
    ToAJob([this](const JobKey& key) { (void)jobs_->Delete(key); });
  }
  void Retry() {
    ToAJob([this](const JobKey& key) { (void)jobs_->Retry(key, ""); });
  }

  // A collection with a step that fails, then the next process.
  void CollectCutOff() {
    const auto before = Snapshot();
    int questions = Chance(20);
    switch (Chance(3)) {
      case 0:
        failing_.FailFrom(1 + Chance(4));
        break;
      case 1:
        forget_fails_ = true;
        break;
    }
    const auto collected = collector_->Collect(false, [&] { return --questions < 0; });
    forget_fails_ = false;
    cut_off_ += !collected.ok() || failing_.failed();
    Reopen();
    Compare(before, /*whole=*/false);
  }
  // How many jobs went.
  int64_t CollectWhole() {
    const auto before = Snapshot();
    const auto collected = collector_->Collect(false, [] { return false; });
    EXPECT_OK(collected);
    Compare(before, /*whole=*/true);
    if (!collected.ok()) return 0;
    removed_ += collected->blobs();
    return collected->jobs();
  }

  struct Stored {
    std::vector<v1::Artifact> artifacts;
    std::vector<v1::Job> jobs;  // newest first
  };
  std::map<std::string, Stored> Snapshot() {
    std::map<std::string, Stored> stored;
    for (const char* tenant : kTenants) stored[tenant] = {Artifacts(tenant), JobsOf(tenant)};
    return stored;
  }
  // Ended for so long that it is to be forgotten.
  std::set<std::string> OldJobs(const std::vector<v1::Job>& newest_first) {
    std::set<std::string> old, asked_for;
    for (const v1::Job& job : newest_first) {
      const bool is_old =
          job.has_end_time() && clock_.Now() - FromTimestamp(job.end_time()) >= kKeepJobs;
      const bool is_source =
          job.state() == v1::SUCCEEDED && !job.cache_hit() && asked_for.contains(job.cache_key());
      if (is_old && !is_source) {
        old.insert(job.id());
      } else if (job.cache_hit()) {
        asked_for.insert(job.cache_key());
      }
    }
    return old;
  }
  static std::string Text(const v1::Job& job) {
    v1::Job copy = job;
    copy.clear_pending_reason();
    return DeterministicBytes(copy);
  }

  void Compare(const std::map<std::string, Stored>& before, bool whole) {
    for (const auto& [tenant, stored] : before) {
      const auto artifacts = Artifacts(tenant);
      ASSERT_EQ(artifacts.size(), stored.artifacts.size());
      for (size_t i = 0; i < artifacts.size(); ++i) {
        EXPECT_EQ(DeterministicBytes(artifacts[i]), DeterministicBytes(stored.artifacts[i]));
      }
      const std::set<std::string> old = OldJobs(stored.jobs);
      std::map<std::string, std::string> now;
      for (const v1::Job& job : JobsOf(tenant)) now[job.id()] = Text(job);
      for (const v1::Job& job : stored.jobs) {
        const auto found = now.find(job.id());
        const bool is_old = old.contains(job.id());
        EXPECT_TRUE(found != now.end() || is_old) << "a job is lost: " << job.ShortDebugString();
        EXPECT_TRUE(found == now.end() || !is_old || !whole) << job.ShortDebugString();
        EXPECT_TRUE(found == now.end() || found->second == Text(job)) << job.ShortDebugString();
      }
    }
    for (const auto& [tenant, sha256] : Needed()) EXPECT_TRUE(CanRead(tenant, sha256)) << sha256;
    for (const auto& [of, when] : told_) {
      if (clock_.Now() - when >= kKeepBlobs) continue;
      EXPECT_TRUE(CanRead(of.first, of.second)) << of.first << " was told of " << of.second;
    }
  }
  bool CanRead(const std::string& tenant, const std::string& sha256) {
    auto bytes = store_->blobs->ReadBytes(tenant, sha256, 0, 0);
    return bytes.ok() && Sha256Hex(*bytes) == sha256;
  }
  // From what a client sees.
  std::set<Owned> Needed() {
    std::set<Owned> needed;
    for (const char* tenant : kTenants) {
      auto add = [&](const auto& files) {
        for (const v1::ArtifactFile& file : files) needed.insert({tenant, file.blob().sha256()});
      };
      for (const v1::Artifact& artifact : Artifacts(tenant)) add(artifact.files());
      for (const v1::Job& job : JobsOf(tenant)) {
        add(job.result());
        for (const auto& [name, input] : job.inputs()) {
          for (const v1::Artifact& artifact : input.artifacts()) add(artifact.files());
        }
      }
    }
    return needed;
  }
  std::set<Owned> Rows(const char* sql) {
    std::set<Owned> rows;
    EXPECT_OK(store_->database->Read([&](Connection& connection) -> absl::Status {
      Statement& statement = connection.Prepare(sql);
      while (true) {
        ASSIGN_OR_RETURN(const bool found, statement.Step());
        if (!found) return absl::OkStatus();
        rows.insert({std::string(statement.Text(0)), std::string(statement.Text(1))});
      }
    }));
    return rows;
  }

  std::mt19937 random_;
  FakeDisk failing_;
  bool forget_fails_ = false;
  std::unique_ptr<Collector> collector_;
  std::map<Owned, absl::Time> told_;
  int64_t removed_ = 0, cut_off_ = 0;
};

int FromEnvironment(const char* name, int otherwise) {
  const char* text = getenv(name);
  int value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

TEST(Collection, TakesWhatNothingNeedsAndNothingElse) {
  const int runs = FromEnvironment("RADIOGRAPH_COLLECTION_RUNS", kRunsDefault);
  const int first =
      FromEnvironment("RADIOGRAPH_SEED", static_cast<int>(std::random_device()() >> 2));
  int64_t removed = 0, cut_off = 0;
  for (int seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE(absl::StrCat("RADIOGRAPH_COLLECTION_RUNS=1 RADIOGRAPH_SEED=", seed));
    CollectionRun run(seed);
    run.Run();
    removed += run.removed();
    cut_off += run.cut_off();
    ASSERT_FALSE(HasFailure());
  }
  std::cout << "seeds from " << first << ": " << runs << " runs, " << removed << " blobs removed, "
            << cut_off << " collections cut off\n";
  EXPECT_GT(removed, 0);
  EXPECT_GT(cut_off, 0);
}

}  // namespace
}  // namespace radiograph::testing
