// The queue as its clients and workers see it, over gRPC and loopback; one JSON object a measurement.
// postgresql_queue.py runs it beside other queues.
//
//   queue_bench queue BIN_FOLDER MODEL_FOLDER STATE_PARENT CLIENTS JOBS
//       a fresh server; so many clients create jobs, then as many slots claim and complete them
//   queue_bench recovery BIN_FOLDER STATE_PARENT JOBS
//       the server's start with so many waiting jobs, after an unclean end
//   queue_bench fill STATE JOBS
//       for recovery: stores them and ends uncleanly
#include <grpcpp/create_channel.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "radiograph/v1/workers.grpc.pb.h"
#include "server/jobs/errands.h"
#include "server/jobs/jobs.h"
#include "server/store/store.h"
#include "tests/bench/service.h"

namespace radiograph {
namespace {

constexpr int kOpens = 5;
constexpr int kFillClients = 64;

// Runs `body(0)` to `body(threads - 1)` at once; the first error.
absl::Status AtOnce(int64_t threads, const std::function<absl::Status(int64_t)>& body) {
  std::vector<absl::Status> statuses(threads);
  {
    std::vector<std::jthread> running;
    for (int64_t t = 0; t < threads; ++t) running.emplace_back([&, t] { statuses[t] = body(t); });
  }
  for (const absl::Status& status : statuses) RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

// Seconds of each create.
absl::StatusOr<std::vector<double>> Create(const Server& server,
                                           const v1::CreateJobRequest& request, int64_t clients,
                                           int64_t jobs) {
  std::atomic<int64_t> next = 0;
  std::vector<std::vector<double>> seconds(clients);
  RETURN_IF_ERROR(AtOnce(clients, [&](int64_t t) -> absl::Status {
    ASSIGN_OR_RETURN(auto client, Connect(server.endpoint));
    v1::CreateJobRequest mine = request;
    for (int64_t seed; (seed = next++) < jobs;) {
      mine.set_seed(seed);
      const absl::Time begin = absl::Now();
      RETURN_IF_ERROR(client->CreateJob(mine).status());
      seconds[t].push_back(Seconds(begin));
    }
    return absl::OkStatus();
  }));
  std::vector<double> all;
  for (const auto& some : seconds) all.insert(all.end(), some.begin(), some.end());
  return all;
}

absl::StatusOr<v1::SynchronizeResponse> Synchronize(v1::Workers::Stub& stub,
                                                    const v1::SynchronizeRequest& request) {
  grpc::ClientContext context;
  v1::SynchronizeResponse response;
  const grpc::Status status = stub.Synchronize(&context, request, &response);
  if (!status.ok()) return absl::InternalError(status.error_message());
  return response;
}

// Each slot takes a job and reports its success, until there are none.
absl::Status ClaimAndComplete(const Server& server, const v1::Blob& result, int64_t slots,
                              int64_t jobs) {
  std::atomic<int64_t> left = jobs;
  return AtOnce(slots, [&](int64_t t) -> absl::Status {
    auto stub = v1::Workers::NewStub(
        grpc::CreateChannel(server.endpoint, grpc::InsecureChannelCredentials()));
    v1::SynchronizeRequest idle;
    idle.set_protocol_version(1);
    idle.set_slot(absl::StrCat("bench", t, "/cpu"));
    idle.set_incarnation("1");
    idle.set_state(v1::IDLE);
    idle.mutable_engine()->set_device_kind("cpu");
    idle.set_memory_bytes(int64_t{64} << 30);
    v1::OfferedAnalysis& offered = *idle.add_analyses();
    offered.set_name("bilinear.spectrum");
    offered.set_version(1);
    while (left-- > 0) {
      v1::SynchronizeRequest done = idle;
      ASSIGN_OR_RETURN(const v1::SynchronizeResponse given, Synchronize(*stub, idle));
      done.set_lease_token(given.lease().token());
      done.set_state(v1::DONE);
      done.mutable_report()->set_outcome("SUCCEEDED");
      v1::ArtifactFile& file = *done.mutable_report()->add_result();
      file.set_name("result.json");
      *file.mutable_blob() = result;
      RETURN_IF_ERROR(Synchronize(*stub, done).status());
    }
    return absl::OkStatus();
  });
}

absl::Status MeasureQueue(const std::string& bin, const std::string& model,
                          const std::string& parent, int64_t clients, int64_t jobs) {
  ASSIGN_OR_RETURN(TemporaryFolder state, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(Server server, StartServer(bin, state.path(), "none"));
  ASSIGN_OR_RETURN(const v1::CreateJobRequest request, SpectrumRequest(*server.client, model));
  const std::string file = state.path() + "/result.json";
  RETURN_IF_ERROR(WriteFile(file, "{}"));
  ASSIGN_OR_RETURN(const std::vector<v1::Blob> result, server.client->Upload({file}));
  const absl::Time creating = absl::Now();
  ASSIGN_OR_RETURN(const std::vector<double> creates, Create(server, request, clients, jobs));
  const double create_seconds = Seconds(creating);
  const absl::Time claiming = absl::Now();
  RETURN_IF_ERROR(ClaimAndComplete(server, result[0], clients, jobs));
  const double claim_seconds = Seconds(claiming);
  v1::ListJobsRequest succeeded;
  succeeded.set_filter("state = SUCCEEDED");
  ASSIGN_OR_RETURN(const std::vector<v1::Job> ended, server.client->ListJobs(succeeded));
  if (static_cast<int64_t>(ended.size()) != jobs) {
    return absl::InternalError(absl::StrCat(ended.size(), " of ", jobs, " jobs have succeeded"));
  }
  absl::PrintF("{\"create_per_second\": %.1f, \"create_p99_ms\": %.2f, "
               "\"complete_per_second\": %.1f, \"job_bytes\": %d}\n",
               static_cast<double>(jobs) / create_seconds, 1e3 * Quantile(creates, 0.99),
               static_cast<double>(jobs) / claim_seconds, ended[0].ByteSizeLong());
  return absl::OkStatus();
}

absl::Status Fill(const std::string& folder, int64_t jobs) {
  SystemClock clock;
  Disk disk;
  Errands errands(&clock);
  ASSIGN_OR_RETURN(auto store, Store::Open({.folder = folder}, &clock, &disk));
  JobsOptions options;
  options.queued_jobs_max = options.queued_jobs_per_tenant_max = 2 * jobs;
  ASSIGN_OR_RETURN(auto queue,
                   Jobs::Open(options, store.get(), &clock, &errands, JobsObserver()));
  std::atomic<int64_t> left = jobs;
  RETURN_IF_ERROR(AtOnce(kFillClients, [&](int64_t) -> absl::Status {
    while (left-- > 0) {
      ResolvedJob resolved;
      resolved.job.set_tenant(kDefaultTenant);
      resolved.job.set_analysis("bilinear.spectrum");
      resolved.job.set_analysis_version(1);
      resolved.request = std::string(2000, 'x');
      RETURN_IF_ERROR(queue->Create({}, std::move(resolved)).status());
    }
    return absl::OkStatus();
  }));
  _exit(0);  // nothing is closed
}

absl::Status MeasureRecovery(const std::string& bin, const std::string& parent,
                             const std::string& jobs) {
  ASSIGN_OR_RETURN(TemporaryFolder state, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(auto fill, Child::Spawn("/proc/self/exe", {"fill", state.path(), jobs}, {}));
  char byte;
  while (read(fill->from(), &byte, 1) > 0) continue;  // until its end
  std::vector<double> opens;
  for (int i = 0; i < kOpens; ++i) {
    const absl::Time begin = absl::Now();
    ASSIGN_OR_RETURN(Server server, StartServer(bin, state.path(), "none"));
    opens.push_back(Seconds(begin));
    if (i > 0) continue;
    v1::ListJobsRequest waiting;
    waiting.set_filter("state = QUEUED");
    ASSIGN_OR_RETURN(const std::vector<v1::Job> queued, server.client->ListJobs(waiting));
    if (absl::StrCat(queued.size()) != jobs) {
      return absl::InternalError(absl::StrCat(queued.size(), " of ", jobs, " jobs are there"));
    }
  }  // here the server is killed
  absl::PrintF("{\"first_ms\": %.0f, \"median_ms\": %.0f}\n", 1e3 * opens[0],
               1e3 * Quantile(opens, 0.5));
  return absl::OkStatus();
}

absl::Status Main(const std::vector<std::string>& arguments) {
  int64_t clients = 1, jobs = 0;
  const std::string what = arguments.empty() ? "" : arguments[0];
  if (arguments.size() > 1 && !absl::SimpleAtoi(arguments.back(), &jobs)) {
    return absl::InvalidArgumentError(arguments.back() + " is no number of jobs");
  }
  if (what == "queue" && arguments.size() == 6 && absl::SimpleAtoi(arguments[4], &clients)) {
    return MeasureQueue(arguments[1], arguments[2], arguments[3], clients, jobs);
  }
  if (what == "recovery" && arguments.size() == 4) {
    return MeasureRecovery(arguments[1], arguments[2], arguments[3]);
  }
  if (what == "fill" && arguments.size() == 3) return Fill(arguments[1], jobs);
  return absl::InvalidArgumentError("the head of queue_bench.cc says how it is called");
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  const absl::Status status = radiograph::Main({argv + 1, argv + argc});
  if (!status.ok()) fprintf(stderr, "queue_bench: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
