// More than a server takes, from all sides at once: creates against a full queue, idle watchers,
// uploads, and somebody who only wants to know whether it is there. Real radiographd, loopback.
//
//   overload BIN_FOLDER MODEL_FOLDER STATE_PARENT [--full]
//
// --full: the sizes and the two minutes of the budget, and its times are checked too. Without it
// only what holds on any machine, however busy.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/rpc_status.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "radiograph/v1/server.grpc.pb.h"
#include "tests/bench/service.h"
#include "tests/bench/watchers.h"

namespace radiograph {
namespace {

struct Sizes {
  bool full = false;
  int cap = 100;       // jobs of the tenant that may wait
  int creates = 1000;  // at once, by as many clients as there are creators
  int creators = 16;
  int watchers = 100;
  int uploads = 10;
  int64_t upload_bytes = 256 << 10;
  int churn = 200;  // creates that follow, while others are cancelled; 0: for `duration`
  absl::Duration duration = absl::ZeroDuration();
};
constexpr Sizes kFull{.full = true,
                      .cap = 1000,
                      .creates = 10'000,
                      .creators = 64,
                      .watchers = 1000,
                      .uploads = 50,
                      .upload_bytes = 8 << 20,
                      .churn = 0,
                      .duration = absl::Minutes(2)};
constexpr absl::Duration kPatience = absl::Minutes(2);
constexpr double kCreateP99Max = 0.250;  // seconds
constexpr int64_t kWatcherBytesMax = 64 << 10;

absl::Status Check(bool holds, absl::string_view what) {
  if (holds) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("does not hold: ", what));
}

// What became of all creates.
struct Creates {
  absl::Mutex mu;
  std::vector<double> seconds ABSL_GUARDED_BY(mu);             // of the admitted
  std::deque<std::string> jobs ABSL_GUARDED_BY(mu);            // admitted, and not cancelled yet
  std::map<std::string, int64_t> refused ABSL_GUARDED_BY(mu);  // by reason
  int64_t admitted ABSL_GUARDED_BY(mu) = 0, cancelled ABSL_GUARDED_BY(mu) = 0;
  absl::Status wrong ABSL_GUARDED_BY(mu);  // a refusal that isn't as it should be
};

// The reason of a refusal that says which limit, whose, and when to come back.
absl::StatusOr<std::string> ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  google::rpc::QuotaFailure quota;
  if (status.error_code() != grpc::StatusCode::RESOURCE_EXHAUSTED ||
      !details.ParseFromString(status.error_details())) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
  for (const google::protobuf::Any& detail : details.details()) {
    if (detail.Is<google::rpc::ErrorInfo>()) detail.UnpackTo(&info);
    if (detail.Is<google::rpc::QuotaFailure>()) detail.UnpackTo(&quota);
  }
  RETURN_IF_ERROR(Check(RetryDelay(status).has_value(), "a refusal carries RetryInfo"));
  RETURN_IF_ERROR(Check(quota.violations_size() == 1, "a refusal carries QuotaFailure"));
  return info.reason();
}

void CreateOne(v1::Jobs::Stub& stub, const v1::CreateJobRequest& request, Creates& creates) {
  grpc::ClientContext context;
  v1::CreateJobResponse response;
  const absl::Time begin = absl::Now();
  const grpc::Status status = stub.Create(&context, request, &response);
  const double seconds = Seconds(begin);
  absl::MutexLock lock(&creates.mu);
  if (status.ok()) {
    ++creates.admitted;
    creates.seconds.push_back(seconds);
    creates.jobs.push_back(response.job().id());
    return;
  }
  absl::StatusOr<std::string> reason = ReasonOf(status);
  creates.wrong.Update(reason.status());
  if (reason.ok()) ++creates.refused[*reason];
}

// Creates by many clients until `next` says that it is enough.
void CreateMany(const Server& server, const Sizes& sizes, const v1::CreateJobRequest& request,
                std::atomic<int64_t>& seed, std::atomic<int64_t>& left, absl::Time end,
                Creates& creates) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < sizes.creators; ++t) {
    threads.emplace_back([&] {
      const auto stub = v1::Jobs::NewStub(NewChannel(server.endpoint));
      v1::CreateJobRequest mine = request;
      while (left-- > 0 && absl::Now() < end) {
        mine.set_seed(++seed);
        CreateOne(*stub, mine, creates);
      }
    });
  }
}

// Makes room in the queue: cancels what was admitted, oldest first, as long as `go_on`.
void CancelMany(const Server& server, const std::atomic<bool>& go_on, Creates& creates) {
  auto client = Connect(server.endpoint);
  while (go_on) {
    std::string job;
    {
      absl::MutexLock lock(&creates.mu);
      auto some = [&]() ABSL_SHARED_LOCKS_REQUIRED(creates.mu) { return !creates.jobs.empty(); };
      if (!creates.mu.AwaitWithTimeout(absl::Condition(&some), absl::Milliseconds(100))) continue;
      job = std::move(creates.jobs.front());
      creates.jobs.pop_front();
    }
    const absl::Status cancelled = (*client)->CancelJob(job).status();
    absl::MutexLock lock(&creates.mu);
    creates.wrong.Update(cancelled);
    ++creates.cancelled;
  }
}

absl::Status UploadAll(const Server& server, const Sizes& sizes, const std::string& folder) {
  std::vector<absl::Status> statuses(sizes.uploads);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < sizes.uploads; ++i) {
      threads.emplace_back([&, i] {
        std::string bytes(sizes.upload_bytes, '\0');
        std::mt19937_64 random(static_cast<uint64_t>(i));
        for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
          const uint64_t word = random();
          memcpy(&bytes[at], &word, 8);
        }
        const std::string path = absl::StrCat(folder, "/upload", i);
        statuses[i] = WriteFile(path, bytes);
        auto client = Connect(server.endpoint);
        if (statuses[i].ok()) statuses[i] = (*client)->Upload({path}).status();
      });
    }
  }
  for (const absl::Status& status : statuses) RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

// Asks the server who it is, again and again. The client repeats what is refused for a moment.
class Asker {
 public:
  explicit Asker(const std::string& endpoint)
      : client_(Connect(endpoint)), thread_([this](std::stop_token stop) { Ask(stop); }) {}
  absl::Status Stop() {
    thread_.request_stop();
    thread_.join();
    return status_;
  }
  const std::vector<double>& seconds() const { return seconds_; }

 private:
  void Ask(std::stop_token stop) {
    while (!stop.stop_requested()) {
      const absl::Time begin = absl::Now();
      status_.Update((*client_)->GetInfo().status());
      seconds_.push_back(Seconds(begin));
      absl::Notification pause;
      pause.WaitForNotificationWithTimeout(absl::Milliseconds(20));
    }
  }
  absl::StatusOr<std::unique_ptr<Client>> client_;
  absl::Status status_;
  std::vector<double> seconds_;
  std::jthread thread_;
};

absl::StatusOr<int64_t> ResidentBytes(int pid) {
  ASSIGN_OR_RETURN(const std::string status,
                   ReadFile(absl::StrCat("/proc/", pid, "/status"), 1 << 16));
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    int64_t kilobytes = 0;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() == 3 && words[0] == "VmRSS:" && absl::SimpleAtoi(words[1], &kilobytes)) {
      return kilobytes << 10;
    }
  }
  return absl::InternalError("no VmRSS");
}

// The sum of all values of one metric, whatever their labels.
double SumOf(const std::string& metrics, absl::string_view name) {
  double sum = 0;
  for (absl::string_view line : absl::StrSplit(metrics, '\n')) {
    const absl::string_view key = line.substr(0, line.find_first_of("{ "));
    double value = 0;
    if (key == name && absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum += value;
  }
  return sum;
}

absl::Status CheckCounters(const Server& server, const Creates& creates, int64_t others)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(creates.mu) {
  ASSIGN_OR_RETURN(const std::string metrics, HttpGet(server.http, "/metrics"));
  ASSIGN_OR_RETURN(const v1::ServerInfo info, server.client->GetInfo());
  const auto created = static_cast<int64_t>(SumOf(metrics, "radiograph_jobs_created_total"));
  const auto ended = static_cast<int64_t>(SumOf(metrics, "radiograph_jobs_finished_total"));
  const auto all = static_cast<int64_t>(SumOf(metrics, "radiograph_jobs"));
  const int64_t live = info.usage().queued_jobs() + info.usage().running_jobs();
  int64_t refused = 0;
  for (const auto& [reason, count] : creates.refused) {
    refused += count;
    absl::PrintF("refused, %s: %d\n", reason, count);
  }
  absl::PrintF("created %d, ended %d, live %d, refused %d\n", created, ended, live, refused);
  RETURN_IF_ERROR(Check(created == ended + live, "created = ended + live"));
  RETURN_IF_ERROR(Check(created == all, "each job is in one state"));
  RETURN_IF_ERROR(Check(created == creates.admitted + others, "created = acknowledged"));
  RETURN_IF_ERROR(Check(ended == creates.cancelled + others, "ended = cancelled"));
  RETURN_IF_ERROR(
      Check(static_cast<int64_t>(SumOf(metrics, "radiograph_exhausted_total")) >= refused,
            "each refusal is counted"));
  return Check(info.usage().waits() == 0 && info.usage().blob_streams() == 0, "nobody is inside");
}

absl::Status Report(const Sizes& sizes, const Creates& creates, const Asker& asker,
                    int64_t watcher_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(creates.mu) {
  const double p99 = Quantile(creates.seconds, 0.99);
  TableHead();
  Row(absl::StrCat("admitted creates, ", sizes.creators, " clients against a full queue"),
      absl::StrFormat("p50 %.0f ms, p99 %.0f ms", 1e3 * Quantile(creates.seconds, 0.5), 1e3 * p99),
      "p99 < 250 ms");
  Row(absl::StrCat("server memory for each of ", sizes.watchers, " idle watchers"),
      absl::StrFormat("%.1f KiB", static_cast<double>(watcher_bytes) / 1024), "<= 64 KiB");
  Row("GetInfo meanwhile",
      absl::StrFormat("%d answered, p99 %.0f ms", asker.seconds().size(),
                      1e3 * Quantile(asker.seconds(), 0.99)),
      "each answered");
  if (!sizes.full) return absl::OkStatus();
  RETURN_IF_ERROR(Check(p99 < kCreateP99Max, "p99 of the admitted creates < 250 ms"));
  return Check(watcher_bytes <= kWatcherBytesMax, "an idle watcher takes <= 64 KiB");
}

absl::Status Run(const std::string& bin, const std::string& model, const std::string& parent,
                 const Sizes& sizes) {
  ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(Server server,
                   StartServer(bin, folder.path() + "/state", "none",
                               {absl::StrCat("--queued-jobs-per-tenant-max=", sizes.cap)}));
  ASSIGN_OR_RETURN(v1::CreateJobRequest request, SpectrumRequest(*server.client, model));
  ASSIGN_OR_RETURN(const v1::CreateJobResponse watched, server.client->CreateJob(request));

  ASSIGN_OR_RETURN(const int64_t before, ResidentBytes(server.process->pid()));
  Watchers watchers(server.endpoint, watched.job().id(), sizes.watchers);
  RETURN_IF_ERROR(watchers.AwaitSequence(1, kPatience));
  ASSIGN_OR_RETURN(const int64_t after, ResidentBytes(server.process->pid()));

  Asker asker(server.endpoint);
  Creates creates;
  std::atomic<int64_t> seed = 0, left = sizes.creates;
  absl::Status uploaded;
  {
    std::jthread uploads([&] { uploaded = UploadAll(server, sizes, folder.path()); });
    CreateMany(server, sizes, request, seed, left, absl::InfiniteFuture(), creates);
  }
  RETURN_IF_ERROR(uploaded);
  {
    absl::MutexLock lock(&creates.mu);
    RETURN_IF_ERROR(creates.wrong);
    RETURN_IF_ERROR(Check(creates.admitted == sizes.cap - 1, "as many are admitted as fit"));
  }
  // The queue stays full, and moves.
  left = sizes.full ? int64_t{1} << 40 : sizes.churn;
  {
    std::atomic<bool> go_on = true;
    std::jthread cancels([&] { CancelMany(server, go_on, creates); });
    CreateMany(server, sizes, request, seed, left,
               sizes.full ? absl::Now() + sizes.duration : absl::InfiniteFuture(), creates);
    go_on = false;
  }
  RETURN_IF_ERROR(server.client->CancelJob(watched.job().id()).status());
  RETURN_IF_ERROR(watchers.AwaitEnd(kPatience));
  RETURN_IF_ERROR(asker.Stop());
  absl::MutexLock lock(&creates.mu);
  RETURN_IF_ERROR(creates.wrong);
  RETURN_IF_ERROR(CheckCounters(server, creates, /*others=*/1));
  return Report(sizes, creates, asker, (after - before) / sizes.watchers);
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) {
  const bool full = argc == 5 && strcmp(argv[4], "--full") == 0;
  if (argc != 4 && !full) {
    fprintf(stderr, "usage: overload BIN_FOLDER MODEL_FOLDER STATE_PARENT [--full]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  const absl::Status status =
      radiograph::Run(argv[1], argv[2], argv[3], full ? radiograph::kFull : radiograph::Sizes());
  if (!status.ok()) fprintf(stderr, "overload: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
