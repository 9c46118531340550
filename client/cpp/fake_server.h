// A Radiograph server in memory for the tests of clients, with faults to order. Artifacts and jobs
// are as simple as can be: names are not checked, jobs don't run but follow the script of the test.
#ifndef RADIOGRAPH_CLIENT_CPP_FAKE_SERVER_H_
#define RADIOGRAPH_CLIENT_CPP_FAKE_SERVER_H_

#include <grpcpp/server.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "radiograph/v1/analyses.grpc.pb.h"
#include "radiograph/v1/artifacts.grpc.pb.h"
#include "radiograph/v1/blobs.grpc.pb.h"
#include "radiograph/v1/jobs.grpc.pb.h"
#include "radiograph/v1/server.grpc.pb.h"
#include "radiograph/v1/workers.grpc.pb.h"

namespace radiograph::testing {

// Each fault happens that many times, then things work.
struct Faults {
  int unavailable = 0;   // unary calls answered UNAVAILABLE
  int exhausted = 0;     // unary calls answered RESOURCE_EXHAUSTED with RetryInfo
  int write_breaks = 0;  // Write streams that end UNAVAILABLE after write_break_bytes
  int64_t write_break_bytes = 0;
  int read_breaks = 0;          // Read streams that end UNAVAILABLE after one chunk
  int watch_breaks = 0;         // Watch streams that end UNAVAILABLE after one event
  bool corrupt_reads = false;   // Read sends wrong bytes
  bool forget_uploads = false;  // a break loses what was committed
};

class FakeServer {
 public:
  FakeServer();
  ~FakeServer();

  const std::string& endpoint() const { return endpoint_; }

  // The state, under the lock. Tests write it before calls and read it after them.
  struct State {
    Faults faults;
    std::map<std::string, std::string> blobs;    // by digest
    std::map<std::string, std::string> uploads;  // by upload id: bytes committed
    int64_t bytes_received = 0;
    std::vector<v1::Artifact> artifacts;
    std::vector<v1::Tensor> tensors;
    std::vector<v1::Analysis> analyses;
    std::vector<v1::CreateJobRequest> created;
    // What Jobs.Create answers when it isn't a repeat; its id is "job-1", "job-2", ...
    v1::Job next_job;
    grpc::Status create_status;
    std::map<std::string, v1::Job> jobs;
    std::map<std::string, std::vector<v1::JobEvent>> events;
    // Once its events have been watched, or Wait was asked this many times, a job becomes this.
    std::map<std::string, v1::Job> endings;
    int waits_until_end = 0;
    // Of a job that is QUEUED, why it waits: at the first Get, the second, ...; the last one stays.
    std::vector<std::string> reasons;
    int gets = 0;              // Get calls so far
    int gets_before_news = 0;  // Watch and Wait answer only after so many
    std::set<std::string> cancelled;
    std::vector<v1::Problem> problems;  // that Server.Check finds
    v1::ListJobsRequest listed;            // the last one
    v1::ListArtifactsRequest listed_artifacts;
    std::vector<v1::SetAliasRequest> aliases;
    std::vector<v1::Worker> workers;
    std::vector<v1::DrainRequest> drains;
  };
  template <typename Ready>
  void Await(Ready ready) {
    absl::MutexLock lock(&mu_);
    auto is_ready = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return ready(state_); };
    mu_.Await(absl::Condition(&is_ready));
  }
  template <typename Body>
  auto With(Body body) {
    absl::MutexLock lock(&mu_);
    return body(state_);
  }

 private:
  struct Services;
  absl::Mutex mu_;
  State state_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
  std::string endpoint_;
};

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_CLIENT_CPP_FAKE_SERVER_H_
