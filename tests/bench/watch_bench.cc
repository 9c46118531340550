// How fast news of a job reaches many that watch it, on the real server over loopback.
//
//   watch_bench BIN_FOLDER MODEL_FOLDER STATE_PARENT
#include <signal.h>

#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/rpc_status.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "radiograph/v1/workers.grpc.pb.h"
#include "tests/bench/service.h"
#include "tests/bench/watchers.h"

namespace radiograph {
namespace {

constexpr int kWatchers = 1000;
constexpr int kChanges = 40;  // of the job's state while all watch
constexpr absl::Duration kPatience = absl::Minutes(1);

// A worker's slot that takes the job and gives it back, again and again.
class Slot {
 public:
  explicit Slot(const std::string& endpoint) : stub_(v1::Workers::NewStub(NewChannel(endpoint))) {}

  absl::Status Take() {
    v1::SynchronizeRequest request;
    request.set_state(v1::IDLE);
    ASSIGN_OR_RETURN(const v1::SynchronizeResponse response, Ask(request));
    if (!response.has_lease()) return absl::InternalError("there is nothing to take");
    token_ = response.lease().token();
    return absl::OkStatus();
  }
  absl::Status GiveBack() {
    v1::SynchronizeRequest request;
    request.set_state(v1::DONE);
    request.set_lease_token(token_);
    request.set_draining(true);  // no lease in the answer
    request.set_answer_now(true);
    request.mutable_report()->set_outcome("PREEMPTED");
    return Ask(request).status();
  }

 private:
  absl::StatusOr<v1::SynchronizeResponse> Ask(v1::SynchronizeRequest& request) {
    request.set_protocol_version(1);
    request.set_slot("bench/cpu");
    request.set_incarnation("1");
    request.set_memory_bytes(int64_t{1} << 40);
    request.mutable_engine()->set_device_kind("cpu");
    v1::OfferedAnalysis* offered = request.add_analyses();
    offered->set_name("bilinear.spectrum");
    offered->set_version(1);
    grpc::ClientContext context;
    v1::SynchronizeResponse response;
    const grpc::Status status = stub_->Synchronize(&context, request, &response);
    if (!status.ok()) return FromRpc(status, "the server");
    return response;
  }
  const std::unique_ptr<v1::Workers::Stub> stub_;
  std::string token_;
};

absl::Status Measure(const std::string& bin, const std::string& model, const std::string& parent) {
  ASSIGN_OR_RETURN(TemporaryFolder state, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(Server server, StartServer(bin, state.path(), "none"));
  ASSIGN_OR_RETURN(const v1::CreateJobRequest request, SpectrumRequest(*server.client, model));
  ASSIGN_OR_RETURN(const v1::CreateJobResponse created, server.client->CreateJob(request));
  const std::string& job = created.job().id();
  Slot slot(server.endpoint);
  std::vector<double> seconds;
  {
    Watchers watchers(server.endpoint, job, kWatchers);
    int64_t sequence = 1;  // "created"
    RETURN_IF_ERROR(watchers.AwaitSequence(sequence, kPatience));
    for (int i = 0; i < kChanges; ++i) {
      const absl::Time begin = absl::Now();
      RETURN_IF_ERROR(i % 2 == 0 ? slot.Take() : slot.GiveBack());
      RETURN_IF_ERROR(watchers.AwaitSequence(++sequence, kPatience));
      seconds.push_back(Seconds(begin));
    }
  }
  TableHead();
  Row(absl::StrCat("a change of a job until all of its ", kWatchers, " watchers know"),
      absl::StrFormat("p50 %.0f ms, p99 %.0f ms", 1e3 * Quantile(seconds, 0.5),
                      1e3 * Quantile(seconds, 0.99)),
      "");
  const absl::Time begin = absl::Now();
  Watchers watchers(server.endpoint, job, kWatchers);
  RETURN_IF_ERROR(watchers.AwaitSequence(1 + kChanges, kPatience));
  Row(absl::StrCat("events replayed to ", kWatchers, " new watchers, ", 1 + kChanges, " each"),
      absl::StrFormat("%.0f/s", static_cast<double>(watchers.events()) / Seconds(begin)), "");
  return absl::OkStatus();
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: watch_bench BIN_FOLDER MODEL_FOLDER STATE_PARENT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  const absl::Status status = radiograph::Measure(argv[1], argv[2], argv[3]);
  if (!status.ok()) fprintf(stderr, "watch_bench: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
