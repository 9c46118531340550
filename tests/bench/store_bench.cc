// What the store and the queue bear, without the network: durable creates, leases, reads among many
// jobs, uploads against a plain write and fsync of the same bytes to the same disk.
//
//   TMPDIR=<a folder on the disk to measure> store_bench
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "server/jobs/errands.h"
#include "server/jobs/jobs.h"
#include "server/store/collector.h"
#include "server/store/messages.h"
#include "server/store/store.h"

namespace radiograph {
namespace {

constexpr int64_t kManyJobs = 1'000'000;

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Get(absl::StatusOr<T> value) {
  Check(value.status());
  return *std::move(value);
}

struct Server {
  Server()
      : folder(Get(TemporaryFolder::Make())),
        store(Get(Store::Open({.folder = folder.path()}, &clock, &disk))),
        jobs(Get(Jobs::Open({.queued_jobs_max = kManyJobs, .queued_jobs_per_tenant_max = kManyJobs},
                            store.get(), &clock, &errands, {}))) {
    errands.Start();
  }

  std::string Create() {
    ResolvedJob resolved;
    resolved.job.set_tenant(kDefaultTenant);
    resolved.job.set_analysis("bilinear.spectrum");
    resolved.job.set_analysis_version(1);
    resolved.request = std::string(2000, 'x');
    return Get(jobs->Create({}, std::move(resolved))).job().id();
  }
  // `clients` threads create `count` jobs.
  void Fill(int clients, int count) {
    std::atomic<int> left = count;
    std::vector<std::jthread> threads;
    for (int i = 0; i < clients; ++i) {
      threads.emplace_back([&] {
        while (left-- > 0) Create();
      });
    }
  }
  v1::SynchronizeResponse Synchronize(v1::SynchronizeRequest request) {
    absl::Notification answered;
    absl::StatusOr<v1::SynchronizeResponse> answer;
    jobs->Synchronize(std::move(request), false, {},
                      [&](absl::StatusOr<v1::SynchronizeResponse> response) {
                        answer = std::move(response);
                        answered.Notify();
                      });
    answered.WaitForNotification();
    return Get(std::move(answer));
  }

  TemporaryFolder folder;
  SystemClock clock;
  Disk disk;
  std::unique_ptr<Store> store;
  Errands errands{&clock};
  std::unique_ptr<Jobs> jobs;
};

void DurableCreate(benchmark::State& state) {
  Server server;
  constexpr int kJobs = 5000;
  for (auto _ : state) server.Fill(static_cast<int>(state.range(0)), kJobs);
  state.SetItemsProcessed(state.iterations() * kJobs);
}
BENCHMARK(DurableCreate)
    ->ArgName("clients")
    ->Arg(1)
    ->Arg(32)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->UseRealTime();

// Each slot takes a job and reports its success, again and again.
void ClaimAndComplete(benchmark::State& state) {
  Server server;
  constexpr int kJobs = 3000;
  server.Fill(32, kJobs);
  const v1::Blob blob = Get(server.store->blobs->PutBytes(kDefaultTenant, "{}"));
  for (auto _ : state) {
    std::atomic<int> left = kJobs;
    std::vector<std::jthread> slots;
    for (int i = 0; i < state.range(0); ++i) {
      slots.emplace_back([&, i] {
        v1::SynchronizeRequest idle;
        idle.set_slot(absl::StrCat("w", i));
        idle.set_incarnation("1");
        idle.set_state(v1::IDLE);
        v1::OfferedAnalysis& offered = *idle.add_analyses();
        offered.set_name("bilinear.spectrum");
        offered.set_version(1);
        while (left-- > 0) {
          v1::SynchronizeRequest done = idle;
          done.set_lease_token(server.Synchronize(idle).lease().token());
          done.set_state(v1::DONE);
          done.mutable_report()->set_outcome("SUCCEEDED");
          v1::ArtifactFile& file = *done.mutable_report()->add_result();
          file.set_name("result.json");
          *file.mutable_blob() = blob;
          server.Synchronize(std::move(done));
        }
      });
    }
  }
  state.SetItemsProcessed(state.iterations() * kJobs);
}
BENCHMARK(ClaimAndComplete)
    ->ArgName("slots")
    ->Arg(1)
    ->Arg(32)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->UseRealTime();

constexpr int kModels = 50;

// A job as they are: with its input, parameters and an attempt, some 1.5 KiB.
v1::Job StoredJob(int number, absl::Time now) {
  v1::Job job;
  job.set_id(absl::StrCat("job-", number));
  job.set_tenant(kDefaultTenant);
  job.set_analysis("bilinear.spectrum");
  job.set_analysis_version(1);
  job.set_state(number % 100 == 0 ? v1::QUEUED : number % 10 == 0 ? v1::FAILED : v1::SUCCEEDED);
  job.set_seed(number);
  (*job.mutable_labels())["team"] = absl::StrCat("team-", number % 10);
  (*job.mutable_labels())["run"] = absl::StrCat("run-", number % 1000);
  v1::Artifact& model = *(*job.mutable_inputs())["model"].add_artifacts();
  model.set_name("digits");
  const std::string weights = absl::StrCat(number % kModels);
  model.set_version(number % kModels + 1);
  model.set_digest(Sha256Hex(weights));
  for (const char* key : {"family", "d_model", "activation", "layers", "bias", "normalisation"}) {
    (*model.mutable_architecture()->mutable_fields())[key].set_string_value("bilinear, as ever");
    (*job.mutable_params()->mutable_fields())[key].set_number_value(number);
  }
  for (int i = 0; i < 3; ++i) {
    v1::ArtifactFile& file = *model.add_files();
    file.set_name(absl::StrCat("model-", i, ".safetensors"));
    file.mutable_blob()->set_sha256(model.digest());
    file.mutable_blob()->set_size(static_cast<int64_t>(weights.size()));
  }
  v1::Attempt& attempt = *job.add_attempts();
  attempt.set_slot("worker/cpu");
  attempt.set_outcome("SUCCEEDED");
  attempt.mutable_engine()->set_device_model("a processor");
  *job.mutable_create_time() = ToTimestamp(now);
  if (job.state() != v1::QUEUED) *job.mutable_end_time() = ToTimestamp(now + absl::Seconds(1));
  return job;
}

constexpr int kStored = 100'000;
const absl::Time kFirst = absl::FromUnixSeconds(1'767'225'600);  // a job a second from 2026 on

// One server with so many jobs for all that reads.
Server& Full() {
  static Server* server = [] {
    auto* made = new Server;
    for (int model = 0; model < kModels; ++model) {
      Get(made->store->blobs->PutBytes(kDefaultTenant, absl::StrCat(model)));
    }
    constexpr int kTogether = 1000;
    for (int first = 0; first < kStored; first += kTogether) {
      absl::Notification done;
      made->store->jobs.Transact(
          [first](JobTransaction& transaction) -> absl::Status {
            for (int number = first; number < first + kTogether; ++number) {
              JobRow row;
              row.job = StoredJob(number, kFirst + absl::Seconds(number));
              v1::JobEvent event;
              *event.mutable_time() = row.job.create_time();
              absl::Status inserted = transaction.Insert(row, event, std::string(2000, 'x'));
              if (!inserted.ok()) return inserted;
            }
            return absl::OkStatus();
          },
          [&done](const JobStore::Changes& changes) {
            Check(changes.status());
            done.Notify();
          });
      done.WaitForNotification();
    }
    return made;
  }();
  return *server;
}

// Runs it again and again; tells the median and the 99th percentile beside the mean.
template <typename Body>
void Percentiles(benchmark::State& state, Body body) {
  std::vector<double> times;
  for (auto _ : state) {
    const absl::Time begin = absl::Now();
    body();
    times.push_back(absl::ToDoubleMicroseconds(absl::Now() - begin));
  }
  std::sort(times.begin(), times.end());
  state.counters["p50_us"] = times[times.size() / 2];
  state.counters["p99_us"] = times[times.size() * 99 / 100];
}

void GetAmong100000Jobs(benchmark::State& state) {
  Server& server = Full();
  int number = 0;
  Percentiles(state, [&] {
    number = (number + 7919) % kStored;
    benchmark::DoNotOptimize(
        Get(server.jobs->Get({kDefaultTenant, absl::StrCat("job-", number)})));
  });
}
BENCHMARK(GetAmong100000Jobs)->Unit(benchmark::kMicrosecond);

// The first page of 50; `all`: every page, to the end.
void ListPage(benchmark::State& state, const std::string& filter, const std::string& order,
              bool all) {
  Server& server = Full();
  v1::ListJobsRequest request;
  request.set_filter(filter);
  request.set_order_by(order);
  int64_t found = 0, calls = 0;
  Percentiles(state, [&] {
    request.clear_page_token();
    do {
      const v1::ListJobsResponse page = Get(server.jobs->List(kDefaultTenant, request));
      found += page.jobs_size();
      ++calls;
      request.set_page_token(page.next_page_token());
    } while (all && !request.page_token().empty());
  });
  state.counters["found"] = static_cast<double>(found) / static_cast<double>(state.iterations());
  state.counters["calls"] = static_cast<double>(calls) / static_cast<double>(state.iterations());
}
constexpr char kLate[] = "state = FAILED AND create_time > \"2026-01-02T00:00:00Z\"";
BENCHMARK_CAPTURE(ListPage, newest, "", "", false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(ListPage, label, "labels.run = run-77", "", false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(ListPage, state_and_time, kLate, "", false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(ListPage, last_ended, "end_time:*", "end_time desc", false)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(ListPage, nothing_by_a_text_in_the_record,
                  "inputs.*.artifacts.digest:\"nowhere to be found\"", "", true)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ListPage, one_by_a_number_in_the_record, "seed = 4711", "", true)
    ->Unit(benchmark::kMillisecond);

void SnapshotOf100000Jobs(benchmark::State& state) {
  Server& server = Full();
  for (auto _ : state) benchmark::DoNotOptimize(Get(server.jobs->Snapshot()));
}
BENCHMARK(SnapshotOf100000Jobs)->Unit(benchmark::kMicrosecond);

// Puts ended jobs of ordinary size beneath the queue.
void FillEnded(Server& server, int count) {
  constexpr int kPerWrite = 1000;
  JobRow row;
  row.job.set_tenant(kDefaultTenant);
  row.job.set_analysis("bilinear.spectrum");
  row.job.set_analysis_version(1);
  row.job.set_state(v1::SUCCEEDED);
  row.job.mutable_end_time()->set_seconds(1);
  row.job.add_attempts()->set_stderr_tail(std::string(500, 's'));
  for (int i = 0; i < 5; ++i) {
    v1::ArtifactFile& file = *row.job.add_result();
    file.set_name(absl::StrCat("file", i));
    *file.mutable_blob() =
        Get(server.store->blobs->PutBytes(kDefaultTenant, absl::StrCat("result ", i)));
  }
  v1::JobEvent event;
  event.mutable_time()->set_seconds(1);
  for (int made = 0; made < count;) {
    Check(server.store->database->Write([&](Connection& connection) {
      JobTransaction transaction(&connection);
      absl::Status status;
      for (int i = 0; i < kPerWrite && status.ok(); ++i) {
        row.job.set_id(absl::StrCat("job", ++made));
        status = transaction.Insert(row, event, std::string(2000, 'x'));
      }
      return status;
    }));
  }
}

// The longest that a small durable write takes, in milliseconds, until `done`.
double LongestWrite(Server& server, const std::atomic<bool>& done) {
  absl::Duration longest;
  for (int64_t i = 0; !done; ++i) {
    const absl::Time begin = absl::Now();
    Check(server.store->database->Write([&](Connection& connection) {
      return connection
          .Prepare("INSERT OR REPLACE INTO artifact_name (tenant, name, last_version) "
                   "VALUES ('t', 'n', ?)")
          .Bind(1, i)
          .Run();
    }));
    longest = std::max(longest, absl::Now() - begin);
  }
  return absl::ToDoubleMilliseconds(longest);
}

// Looks through 100,000 ended jobs, then forgets them all, while another writes.
void Collect100000Jobs(benchmark::State& state) {
  Server server;
  FillEnded(server, 100'000);
  const auto collect = [&](absl::Duration keep) {
    Collector collector({.keep_jobs = keep}, server.store.get(), &server.clock,
                        [&](absl::Span<const JobKey> keys) { return server.jobs->Forget(keys); });
    return Get(collector.Collect(/*validate_only=*/false, [] { return false; })).jobs();
  };
  for (auto _ : state) {
    std::atomic<bool> done = false;
    double longest = 0;
    std::jthread writer([&] { longest = LongestWrite(server, done); });
    const absl::Time begin = absl::Now();
    if (collect(absl::InfiniteDuration()) != 0) Check(absl::InternalError("all are kept"));
    state.counters["look_ms"] = absl::ToDoubleMilliseconds(absl::Now() - begin);
    if (collect(absl::ZeroDuration()) != 100'000) Check(absl::InternalError("all are old"));
    done = true;
    writer.join();
    state.counters["longest_write_ms"] = longest;
  }
}
BENCHMARK(Collect100000Jobs)->Unit(benchmark::kMillisecond)->Iterations(1)->UseRealTime();

constexpr int64_t kChunk = 1 << 20;

void Upload256MiB(benchmark::State& state) {
  Server server;
  const int64_t size = 256 << 20;
  std::string bytes(size, 'u');
  for (auto _ : state) {
    state.PauseTiming();
    ++bytes[0];
    v1::Blob blob;
    blob.set_sha256(Sha256Hex(bytes));
    blob.set_size(size);
    state.ResumeTiming();
    Upload upload = Get(server.store->blobs->StartOrResume(kDefaultTenant, "u", blob));
    for (int64_t at = 0; at < size; at += kChunk) {
      Check(upload.Append(at, absl::string_view(bytes).substr(at, kChunk)));
    }
    Check(upload.Commit());
  }
  state.SetBytesProcessed(state.iterations() * size);
}
BENCHMARK(Upload256MiB)->Unit(benchmark::kMillisecond)->Iterations(5)->UseRealTime();

void WriteAndSync256MiB(benchmark::State& state) {
  const TemporaryFolder folder = Get(TemporaryFolder::Make());
  const int64_t size = 256 << 20;
  const std::string bytes(size, 'w');
  int file = 0;
  for (auto _ : state) {
    const std::string path = absl::StrCat(folder.path(), "/", ++file);
    UniqueFd fd = Get(OpenFile(path, O_WRONLY | O_CREAT));
    for (int64_t at = 0; at < size; at += kChunk) {
      Check(WriteAll(fd.get(), absl::string_view(bytes).substr(at, kChunk), path));
    }
    if (fsync(fd.get()) != 0) Check(absl::InternalError("fsync"));
  }
  state.SetBytesProcessed(state.iterations() * size);
}
BENCHMARK(WriteAndSync256MiB)->Unit(benchmark::kMillisecond)->Iterations(5)->UseRealTime();

void HashOnly256MiB(benchmark::State& state) {
  const std::string bytes(256 << 20, 'h');
  for (auto _ : state) benchmark::DoNotOptimize(Sha256Hex(bytes));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
}
BENCHMARK(HashOnly256MiB)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace radiograph

BENCHMARK_MAIN();
