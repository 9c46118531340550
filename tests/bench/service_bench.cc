// What the service costs, measured on the real programs over loopback: start, create, first
// instruction.
//
//   service_bench BIN_FOLDER MODEL_FOLDER STATE_PARENT
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "tests/bench/cancel.h"
#include "tests/bench/service.h"

namespace radiograph {
namespace {

constexpr int kStarts = 10;
constexpr int kJobs = 100;
constexpr int kCreateClients = 32;
constexpr int kCreatesPerClient = 200;

absl::Status MeasureStart(const std::string& bin, const std::string& parent) {
  std::vector<double> starts;
  for (int i = 0; i < kStarts; ++i) {
    ASSIGN_OR_RETURN(TemporaryFolder state, TemporaryFolder::Make(parent));
    absl::Time begin = absl::Now();
    ASSIGN_OR_RETURN(Server server, StartServer(bin, state.path(), "none"));
    starts.push_back(Seconds(begin));
  }
  Row("server start to first answered RPC, median of 10",
      absl::StrFormat("%.0f ms", 1e3 * Quantile(starts, 0.5)), "< 150 ms");
  return absl::OkStatus();
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Status MeasureFirstInstruction(const std::string& bin, const std::string& model,
                                     const std::string& parent) {
  ASSIGN_OR_RETURN(TemporaryFolder state, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(Server server, StartServer(bin, state.path(), "cpu"));
  ASSIGN_OR_RETURN(v1::CreateJobRequest request, SpectrumRequest(*server.client, model));
  std::vector<double> firsts, wholes;
  for (int i = -1; i < kJobs; ++i) {  // the first one warms the compute process up
    request.set_seed(i + 1);
    absl::Time begin = absl::Now();
    ASSIGN_OR_RETURN(v1::CreateJobResponse created, server.client->CreateJob(request));
    ASSIGN_OR_RETURN(v1::Job job, server.client->WaitJob(created.job().id()));
    if (job.state() != v1::SUCCEEDED) return absl::InternalError(job.error().message());
    if (i < 0) continue;
    wholes.push_back(Seconds(begin));
    firsts.push_back(
        absl::ToDoubleSeconds(ToTime(job.attempts(0).start_time()) - ToTime(job.create_time())));
  }
  Row("Create to first compute instruction, warm, idle queue",
      absl::StrFormat("p50 %.1f ms, p99 %.1f ms", 1e3 * Quantile(firsts, 0.5),
                      1e3 * Quantile(firsts, 0.99)),
      "p50 < 10 ms");
  Row("Create to result stored, digits network, `null_draws`=0",
      absl::StrFormat("p50 %.0f ms, p99 %.0f ms", 1e3 * Quantile(wholes, 0.5),
                      1e3 * Quantile(wholes, 0.99)),
      "");
  return MeasureCancel(server, request);
}

absl::Status MeasureCreates(const std::string& bin, const std::string& model,
                            const std::string& parent) {
  ASSIGN_OR_RETURN(TemporaryFolder state, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(Server server, StartServer(bin, state.path(), "none"));
  ASSIGN_OR_RETURN(const v1::CreateJobRequest request, SpectrumRequest(*server.client, model));
  std::vector<std::vector<double>> seconds(kCreateClients);
  std::vector<absl::Status> statuses(kCreateClients);
  absl::Time begin = absl::Now();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kCreateClients; ++t) {
      threads.emplace_back([&, t] {
        auto client = Connect(server.endpoint);
        v1::CreateJobRequest mine = request;
        for (int i = 0; i < kCreatesPerClient && statuses[t].ok(); ++i) {
          mine.set_seed(t * kCreatesPerClient + i);
          absl::Time start = absl::Now();
          statuses[t] = (*client)->CreateJob(mine).status();
          seconds[t].push_back(Seconds(start));
        }
      });
    }
  }
  double all = Seconds(begin);
  std::vector<double> flat;
  for (int t = 0; t < kCreateClients; ++t) {
    RETURN_IF_ERROR(statuses[t]);
    flat.insert(flat.end(), seconds[t].begin(), seconds[t].end());
  }
  Row("durable Create, 32 clients",
      absl::StrFormat("%.0f/s, p99 %.0f ms", static_cast<double>(flat.size()) / all,
                      1e3 * Quantile(flat, 0.99)),
      ">= 2,000/s, p99 < 100 ms");
  return absl::OkStatus();
}

absl::Status Measure(const std::string& bin, const std::string& model, const std::string& parent) {
  TableHead();
  RETURN_IF_ERROR(MeasureStart(bin, parent));
  RETURN_IF_ERROR(MeasureFirstInstruction(bin, model, parent));
  return MeasureCreates(bin, model, parent);
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: service_bench BIN_FOLDER MODEL_FOLDER STATE_PARENT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  absl::Status status = radiograph::Measure(argv[1], argv[2], argv[3]);
  if (!status.ok()) fprintf(stderr, "service_bench: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
