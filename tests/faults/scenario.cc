// A queue's day in one process, for fault_points_test.py: uploads, an artifact, jobs that are
// created, merged, leased, ended, cancelled, retried and deleted, and save their state, and a
// collection, on the real store.
//
//   scenario run FOLDER            says what was acknowledged, a line each:
//                                    blob SHA256 | artifact REF | job ID | ended ID DIGEST |
//                                    cancelled ID | deleting ID | deleted ID |
//                                    saving ID SHA256 | saved ID SHA256 | open ID |
//                                    collecting all
//   scenario check FOLDER < LINES  all of that must be true, now and when every open job has ended
//   scenario fill FOLDER N         stores N jobs that wait
#include <unistd.h>

#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "server/jobs/errands.h"
#include "server/jobs/jobs.h"
#include "server/store/check.h"
#include "server/store/collector.h"
#include "server/store/store.h"

namespace radiograph {
namespace {

constexpr int64_t kQueuedJobsMax = 20'000;

class Scenario {
 public:
  static absl::StatusOr<std::unique_ptr<Scenario>> Open(const std::string& folder) {
    auto scenario = std::unique_ptr<Scenario>(new Scenario);
    ASSIGN_OR_RETURN(scenario->store_,
                     Store::Open({.folder = folder}, &scenario->clock_, &scenario->disk_));
    JobsOptions options;
    options.backoff = {absl::ZeroDuration(), absl::ZeroDuration()};
    options.queued_jobs_per_tenant_max = options.queued_jobs_max = kQueuedJobsMax;
    ASSIGN_OR_RETURN(scenario->jobs_, Jobs::Open(options, scenario->store_.get(), &scenario->clock_,
                                                 &scenario->errands_, JobsObserver()));
    return scenario;
  }

  void Run() {
    for (int i = 0; i < 3; ++i) Note(Upload(i));
    Note(MakeArtifact());
    const std::string first = Create("a", "r1"), merged = Create("a"), other = Create("b");
    Create("a", "r1");  // again
    Note(Work("CRASHED"));
    Note(Cancel(other));
    Note(Work("SUCCEEDED"));
    Create("a");  // a hit
    const std::string failing = Create("c");
    Note(Work("FAILED"));
    if (!failing.empty()) Note(Retry(failing));
    if (!other.empty()) Note(Delete(other));
    Note(Work("SUCCEEDED"));
    const std::string open = Create("d");
    if (!open.empty()) Say("open " + open);
    // From here on what has ended may be gone, and what nothing needs.
    Say("collecting all");
    for (int i = 0; i < 2; ++i) Note(Collect());
  }

  // Empty when all that was acknowledged is so.
  std::string Check(std::istream& lines) {
    std::map<std::string, std::vector<std::string>> told;
    for (std::string line; std::getline(lines, line);) {
      std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words.size() == 3 && words[0] == "saving") states_[words[1]].insert(words[2]);
      if (words.size() == 3 && words[0] == "saved") {
        states_[words[1]] = {words[2]};
        saved_.insert(words[1]);
      }
      if (words.size() >= 2)
        told[words[0]].insert(told[words[0]].end(), words.begin() + 1, words.end());
    }
    const bool collected = told.contains("collecting");
    for (const std::string& sha256 : told["blob"]) {
      if (!collected && !CanRead(sha256)) return "blob " + sha256 + " is not readable";
    }
    for (const std::string& ref : told["artifact"]) {
      auto artifact = store_->catalogue.Get(kDefaultTenant, ref);
      if (!artifact.ok()) return "artifact " + ref + " is lost";
      if (!CanRead(artifact->files(0).blob().sha256())) return "artifact " + ref + " is empty";
    }
    std::set<std::string> gone(told["deleting"].begin(), told["deleting"].end());
    for (const std::string& id : told["job"]) {
      if (collected && !jobs_->Get(Key(id)).ok()) gone.insert(id);
    }
    for (const std::string& id : told["open"]) gone.erase(id);
    for (const std::string& id : told["job"]) {
      if (!gone.contains(id) && !jobs_->Get(Key(id)).ok()) return "job " + id + " is lost";
    }
    for (const std::string& id : told["deleted"]) {
      if (jobs_->Get(Key(id)).ok()) return "job " + id + " was deleted and is there";
    }
    for (const std::string& id : told["cancelled"]) {
      if (!gone.contains(id) && jobs_->Get(Key(id))->state() != v1::CANCELLED) {
        return "job " + id + " was cancelled and is not";
      }
    }
    for (size_t i = 0; i + 1 < told["ended"].size(); i += 2) {
      if (gone.contains(told["ended"][i])) continue;
      absl::StatusOr<v1::Job> job = jobs_->Get(Key(told["ended"][i]));
      if (!job.ok() || job->result_digest() != told["ended"][i + 1]) {
        return "job " + told["ended"][i] + " has lost its result";
      }
    }
    checking_ = true;
    const std::string wrong = EndAll();
    if (!wrong.empty()) return wrong;
    // What was cut off may have left files without rows, and nothing else; a collection sweeps them.
    for (const bool swept : {false, true}) {
      const std::string problem = Examine(/*unknown_files=*/!swept);
      if (!problem.empty()) return problem;
      if (!swept) Note(Collect());
    }
    return "";
  }

  absl::Status Fill(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      RETURN_IF_ERROR(jobs_->Create({}, Resolved("")).status());
    }
    return absl::OkStatus();
  }

 private:
  static JobKey Key(const std::string& id) { return {kDefaultTenant, id}; }
  static void Say(const std::string& line) { std::cout << line << std::endl; }
  static void Note(const absl::Status& status) {
    if (!status.ok()) std::cerr << status.ToString() << std::endl;
  }

  absl::Status Upload(int number) {
    const std::string bytes(number * 3'000'000 + 10, static_cast<char>('a' + number));
    v1::Blob blob;
    blob.set_sha256(Sha256Hex(bytes));
    blob.set_size(static_cast<int64_t>(bytes.size()));
    for (int attempt = 0; attempt < 2; ++attempt) {  // resumed when it failed
      absl::StatusOr<radiograph::Upload> upload = StartUpload(blob);
      if (!upload.ok()) return upload.status();
      absl::Status status;
      constexpr size_t kChunk = 1 << 20;
      while (status.ok() && upload->committed_size() < blob.size()) {
        const size_t at = static_cast<size_t>(upload->committed_size());
        status =
            upload->Append(static_cast<int64_t>(at), absl::string_view(bytes).substr(at, kChunk));
      }
      if (status.ok()) status = upload->Commit();
      Note(status);
      if (!status.ok()) continue;
      blobs_.push_back(blob);
      Say("blob " + blob.sha256());
      return status;
    }
    return absl::UnavailableError("the upload failed twice");
  }
  absl::StatusOr<radiograph::Upload> StartUpload(const v1::Blob& blob) {
    return store_->blobs->StartOrResume(kDefaultTenant, "u", blob);
  }

  absl::Status MakeArtifact() {
    v1::Artifact artifact;
    artifact.set_name("model");
    artifact.set_kind(v1::MODEL);
    if (blobs_.empty()) return absl::OkStatus();
    v1::ArtifactFile& file = *artifact.add_files();
    file.set_name("model.safetensors");
    *file.mutable_blob() = blobs_.front();
    ASSIGN_OR_RETURN(v1::Artifact made, store_->catalogue.Create(kDefaultTenant, artifact));
    Say(absl::StrCat("artifact ", made.name(), "@", made.version()));
    return absl::OkStatus();
  }

  static ResolvedJob Resolved(const std::string& cache_key) {
    ResolvedJob resolved;
    resolved.job.set_tenant(kDefaultTenant);
    resolved.job.set_analysis("test.analysis");
    resolved.job.set_analysis_version(1);
    resolved.job.set_cache_key(cache_key);
    resolved.request = "{}";
    return resolved;
  }
  std::string Create(const std::string& cache_key, const std::string& request_id = "") {
    v1::CreateJobRequest request;
    request.set_request_id(request_id);
    auto made = jobs_->Create(request, Resolved(cache_key));
    Note(made.status());
    if (!made.ok()) return "";
    Say("job " + made->job().id());
    return made->job().id();
  }
  absl::Status Cancel(const std::string& id) {
    ASSIGN_OR_RETURN(v1::Job job, jobs_->Cancel(Key(id)));
    if (job.state() == v1::CANCELLED) Say("cancelled " + id);
    return absl::OkStatus();
  }
  absl::Status Retry(const std::string& id) {
    ASSIGN_OR_RETURN(v1::Job job, jobs_->Retry(Key(id), "again"));
    Say("job " + job.id());
    return absl::OkStatus();
  }
  absl::Status Delete(const std::string& id) {
    Say("deleting " + id);
    RETURN_IF_ERROR(jobs_->Delete(Key(id)));
    Say("deleted " + id);
    return absl::OkStatus();
  }

  // All that has ended is old, and all that is not needed.
  absl::Status Collect() {
    Collector collector({.keep_jobs = absl::ZeroDuration(), .keep_blobs = absl::ZeroDuration()},
                        store_.get(), &clock_,
                        [this](absl::Span<const JobKey> keys) { return jobs_->Forget(keys); });
    return collector.Collect(/*validate_only=*/false, [] { return false; }).status();
  }
  // The first problem that a doctor finds.
  std::string Examine(bool unknown_files) {
    v1::CheckRequest request;
    request.set_digests(true);
    std::string wrong;
    const absl::Status checked = radiograph::Check(
        *store_, request, clock_, [] { return false; }, [&](const v1::CheckResponse& response) {
          const bool allowed = unknown_files && response.problem().reason() == "FILE_UNKNOWN";
          if (response.has_problem() && !allowed && wrong.empty()) {
            wrong = response.problem().ShortDebugString();
          }
          return absl::OkStatus();
        });
    return checked.ok() ? wrong : checked.ToString();
  }

  // Until nothing is left to do.
  void Settle() {
    for (int round = 0; round < 4; ++round) {
      Note(store_->database->Write([](Connection&) { return absl::OkStatus(); }));
      if (errands_.RunDue() > 0) round = 0;
    }
  }
  absl::StatusOr<v1::SynchronizeResponse> Call(v1::SlotState state, const v1::Lease& lease,
                                               const v1::AttemptReport& report) {
    v1::SynchronizeRequest request;
    request.set_slot("w/cpu");
    request.set_incarnation("i");
    request.set_state(state);
    request.mutable_engine()->set_device_kind("cpu");
    request.set_memory_bytes(1);
    request.set_answer_now(true);
    request.set_lease_token(lease.token());
    *request.mutable_report() = report;
    v1::OfferedAnalysis& offered = *request.add_analyses();
    offered.set_name("test.analysis");
    offered.set_version(1);
    absl::StatusOr<v1::SynchronizeResponse> answer = absl::UnavailableError("no answer");
    jobs_->Synchronize(request, false, {}, [&](absl::StatusOr<v1::SynchronizeResponse> response) {
      answer = response;
    });
    Settle();
    return answer;
  }
  absl::Status SaveState(const v1::Lease& lease, int part) {
    v1::SaveRequest request;
    request.set_lease_token(lease.token());
    request.set_key("k");
    ASSIGN_OR_RETURN(*request.mutable_blob(),
                     store_->blobs->PutBytes(kEveryTenant, absl::StrCat("part ", part)));
    const std::string what = lease.job() + " " + request.blob().sha256();
    Say("saving " + what);
    RETURN_IF_ERROR(jobs_->Save(request));
    Say("saved " + what);
    return absl::OkStatus();
  }
  // The digest of the state that the job goes on from; empty for none.
  absl::StatusOr<std::string> LoadState(const v1::Lease& lease) {
    v1::LoadRequest request;
    request.set_lease_token(lease.token());
    request.set_key("k");
    ASSIGN_OR_RETURN(const v1::LoadResponse response, jobs_->Load(request));
    const std::string& sha256 = response.blob().sha256();
    if (sha256.empty() || CanRead(sha256, kEveryTenant)) return sha256;
    return absl::DataLossError("the state " + sha256 + " is lost");
  }
  bool MayGoOnFrom(const std::string& job, const std::string& state) {
    if (state.empty()) return !saved_.contains(job);
    return states_[job].contains(state);
  }
  // A slot asks for a job and ends it so.
  absl::Status Work(const std::string& outcome) {
    ASSIGN_OR_RETURN(v1::SynchronizeResponse given, Call(v1::IDLE, {}, {}));
    if (!given.has_lease()) return absl::NotFoundError("no job for the slot");
    v1::AttemptReport report;
    report.set_outcome(outcome);
    ASSIGN_OR_RETURN(const std::string state, LoadState(given.lease()));
    if (checking_ && !MayGoOnFrom(given.lease().job(), state)) {
      wrong_ = absl::StrCat("job ", given.lease().job(), " goes on from '", state, "'");
    }
    if (outcome == "CRASHED") {
      for (int part = 0; part < 2; ++part) Note(SaveState(given.lease(), part));
    }
    if (outcome == "SUCCEEDED") {
      v1::ArtifactFile& file = *report.add_result();
      file.set_name("result.json");
      ASSIGN_OR_RETURN(*file.mutable_blob(), store_->blobs->PutBytes(kDefaultTenant, "{}"));
    }
    RETURN_IF_ERROR(Call(v1::DONE, given.lease(), report).status());
    ASSIGN_OR_RETURN(v1::Job job, jobs_->Get(Key(given.lease().job())));
    if (job.state() == v1::SUCCEEDED) Say("ended " + job.id() + " " + job.result_digest());
    return absl::OkStatus();
  }

  bool CanRead(const std::string& sha256, const std::string& tenant = kDefaultTenant) {
    Sha256 digest;
    absl::Status read = store_->blobs->Read(tenant, sha256, 0, 0, [&](absl::string_view bytes) {
      digest.Update(bytes);
      return absl::OkStatus();
    });
    return read.ok() && digest.Finish() == sha256;
  }
  // Every job that is still open can be ended, none ends twice.
  std::string EndAll() {
    constexpr int kTurnsMax = 20;
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      if (absl::IsNotFound(Work("SUCCEEDED"))) break;
    }
    if (!wrong_.empty()) return wrong_;
    ListAll list = All();
    for (const v1::Job& job : list) {
      absl::StatusOr<Jobs::EventPage> page = jobs_->Events(Key(job.id()), 0, 1000);
      int ends = 0;
      for (const v1::JobEvent& event : page->events) ends += event.state() >= v1::SUCCEEDED;
      if (ends != 1) return absl::StrCat("job ", job.id(), " ended ", ends, " times");
      for (const v1::ArtifactFile& file : job.result()) {
        if (!CanRead(file.blob().sha256())) return "the result of job " + job.id() + " is lost";
      }
      if ((job.state() == v1::SUCCEEDED) == job.result().empty()) {
        return "job " + job.id() + " has a result or not, and should not or should";
      }
    }
    return "";
  }
  using ListAll = std::vector<v1::Job>;
  ListAll All() {
    v1::ListJobsRequest request;
    request.set_page_size(1000);
    auto page = jobs_->List(kDefaultTenant, request);
    return page.ok() ? ListAll(page->jobs().begin(), page->jobs().end()) : ListAll();
  }

  SystemClock clock_;
  Disk disk_;
  Errands errands_{&clock_};
  std::vector<v1::Blob> blobs_;
  // To be checked: the states that a job may have, the last acknowledged and those after it; and
  // the jobs for which one was acknowledged.
  std::map<std::string, std::set<std::string>> states_;
  std::set<std::string> saved_;
  bool checking_ = false;
  std::string wrong_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Jobs> jobs_;
};

int Main(const std::vector<std::string>& arguments) {
  const absl::Time begin = absl::Now();
  absl::StatusOr<std::unique_ptr<Scenario>> scenario = Scenario::Open(arguments[2]);
  if (!scenario.ok()) {
    std::cerr << "cannot be opened: " << scenario.status().ToString() << std::endl;
    return 2;
  }
  std::cerr << "opened in " << absl::ToDoubleSeconds(absl::Now() - begin) << " s" << std::endl;
  if (arguments[1] == "run") (*scenario)->Run();
  int64_t count = 0;
  if (arguments[1] == "fill" && absl::SimpleAtoi(arguments[3], &count)) {
    const absl::Status filled = (*scenario)->Fill(count);
    std::cerr << filled.ToString() << std::endl;
    if (filled.ok()) _exit(0);  // an unclean end
    return 1;
  }
  if (arguments[1] != "check") return 0;
  const std::string wrong = (*scenario)->Check(std::cin);
  std::cerr << (wrong.empty() ? "all is as it was told" : wrong) << std::endl;
  return wrong.empty() ? 0 : 1;
}

}  // namespace
}  // namespace radiograph

int main(int count, char** arguments) {
  return radiograph::Main(std::vector<std::string>(arguments, arguments + count));
}
