// The server's side of Workers and Blobs, in memory, for the agent's tests.
#ifndef RADIOGRAPH_SERVER_WORKER_FAKE_SERVER_H_
#define RADIOGRAPH_SERVER_WORKER_FAKE_SERVER_H_

#include <grpcpp/channel.h>
#include <grpcpp/server.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "radiograph/v1/blobs.grpc.pb.h"
#include "radiograph/v1/workers.grpc.pb.h"

namespace radiograph {

// Safe for use from many threads. No call of ours waits for longer than a minute: a test that waits
// in vain fails.
class FakeServer {
 public:
  explicit FakeServer(absl::Duration lease_term = absl::Seconds(30));
  ~FakeServer();

  std::shared_ptr<grpc::Channel> Channel();
  // No call reaches it any more.
  void Vanish();

  // A job for the next idle slot that offers its analysis.
  void Enqueue(v1::Lease lease);
  void Cancel(const std::string& job);
  // The job's lease is another's from now on.
  void TakeAway(const std::string& job);

  // The report of a job, once there is one.
  std::optional<v1::AttemptReport> AwaitReport(const std::string& job);
  // True once a slot has sent a request that suits.
  bool AwaitRequest(const std::function<bool(const v1::SynchronizeRequest&)>& suits);
  std::vector<v1::SynchronizeRequest> requests();

  std::string AddBlob(const std::string& bytes);  // its SHA-256
  std::string blob(const std::string& sha256);    // its bytes, empty if none
  int64_t reads();
  int64_t bytes_read();
  // The next Blobs stream breaks off with UNAVAILABLE after so many bytes.
  void BreakNextStreamAfter(int64_t bytes);
  // Reads give wrong bytes.
  void Corrupt();
  // What was saved under a key or memo; empty if nothing was.
  v1::Blob kept(const std::string& name);
  // From now on Workers.Save and Load are answered so, or, if OK, as ever.
  void AnswerKeeping(grpc::Status status);
  // They are answered when the caller has given up.
  void HangKeeping();
  // True once a call hangs.
  bool AwaitHanging();
  // The next DONE that carries a result is refused with FAILED_PRECONDITION.
  void RefuseNextResult();
  std::set<std::string> tokens();  // seen in any call

 private:
  class WorkersService;
  class BlobsService;
  struct State;

  std::unique_ptr<State> state_;
  std::unique_ptr<WorkersService> workers_;
  std::unique_ptr<BlobsService> blobs_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_FAKE_SERVER_H_
