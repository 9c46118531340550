// Many Jobs.Watch streams at once, without a thread for each.
#ifndef RADIOGRAPH_TESTS_BENCH_WATCHERS_H_
#define RADIOGRAPH_TESTS_BENCH_WATCHERS_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "radiograph/v1/jobs.grpc.pb.h"

namespace radiograph {

// A connection of its own: channels to one endpoint would share one else.
std::shared_ptr<grpc::Channel> NewChannel(const std::string& endpoint);

class Watchers {
 public:
  // `count` streams of the job, divided among a few connections.
  Watchers(const std::string& endpoint, const std::string& job, int count);
  ~Watchers();  // waits for the streams' ends

  // Until every stream has got the event of that number; DEADLINE_EXCEEDED, with how many have not.
  absl::Status AwaitSequence(int64_t sequence, absl::Duration timeout);
  // Until every stream has ended; the first that ended badly, or without its job's last event.
  absl::Status AwaitEnd(absl::Duration timeout);
  void Cancel();
  int64_t events() const;  // that all have got together

 private:
  class Stream;
  void Got(int64_t sequence);
  void Ended(const absl::Status& status);

  std::vector<std::unique_ptr<v1::Jobs::Stub>> stubs_;
  mutable absl::Mutex mu_;
  std::vector<int64_t> got_ ABSL_GUARDED_BY(mu_);  // streams by the number of their last event
  int64_t events_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t open_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status worst_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_TESTS_BENCH_WATCHERS_H_
