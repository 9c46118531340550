// A slot's conversation with the server: one long poll after the other, in a thread of its own. The
// slot's other thread, which does the work, tells its state here and gets its leases here.
//
// A lease is held as long as a poll that was sent less than its term ago has been answered. When
// that is no longer so, or the server says that the lease is gone, the job is stopped and its
// report is dropped: the job is another's by then.
#ifndef RADIOGRAPH_SERVER_WORKER_SLOT_LINK_H_
#define RADIOGRAPH_SERVER_WORKER_SLOT_LINK_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/steady_event.h"
#include "radiograph/v1/workers.grpc.pb.h"
#include "server/worker/contact.h"

namespace radiograph {

inline constexpr int64_t kWorkersProtocolVersion = 1;
// A poll is cancelled and repeated to tell progress, at most this often.
inline constexpr absl::Duration kProgressTellInterval = absl::Seconds(1);

enum class StopReason {
  kNone,
  kCancelled,  // someone cancelled the job
  kDraining,   // this agent ends
  kLeaseLost,
};

struct SlotLinkOptions {
  std::string slot;
  std::string incarnation;
  std::string token;
  std::function<int64_t()> free_cache_bytes;
  Contact* contact = nullptr;  // outlives the link
};

// Safe for use from many threads; the calls of the working thread come from one.
class SlotLink {
 public:
  struct Job {
    v1::Lease lease;
    std::stop_token stop;  // why: stop_reason()
  };

  SlotLink(SlotLinkOptions options, std::shared_ptr<grpc::Channel> channel);
  ~SlotLink();  // as Close

  // The working thread.
  // A slot asks for leases only while it is ready.
  void SetReady(v1::Engine engine, std::vector<v1::OfferedAnalysis> analyses, int64_t memory_bytes);
  void SetUnready();
  // Waits for a lease; the job before must have been reported. Nullopt once at rest.
  std::optional<Job> AwaitLease();
  void SetStarted();
  void SetProgress(const v1::SlotProgress& progress);
  StopReason stop_reason() const;
  // Ends the job at hand. Does not wait for the server's answer.
  void Report(v1::AttemptReport report);

  // Anyone.
  // Takes no more leases, is at rest once there is none.
  void Drain();
  // Stops the job at hand, if there is one.
  void StopJob(StopReason reason);
  // Drops everything, is at rest.
  void Close();
  // Waits for rest, no longer than `timeout`. True when at rest.
  bool AwaitRest(absl::Duration timeout) const;

 private:
  // FETCHING -> BUSY -> DONE. Forward only.
  struct Held {
    v1::Lease lease;
    absl::Duration renewed;  // these are on the monotonic clock
    absl::Duration end;
    v1::SlotState state = v1::FETCHING;
    bool taken = false;  // by AwaitLease
    std::stop_source stop;
    StopReason stop_reason = StopReason::kNone;
    v1::SlotProgress progress;
    absl::Duration progress_told;
    v1::AttemptReport report;
  };

  void Poll();
  bool Prepare(v1::SynchronizeRequest& request, grpc::ClientContext& context);
  void AwaitTurn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Pause(absl::Duration time) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Rest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Answered(const v1::SynchronizeRequest& request, const v1::SynchronizeResponse& response,
                absl::Duration sent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Failed(const v1::SynchronizeRequest& request, const grpc::Status& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Take(const v1::Lease& lease, absl::Duration sent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Stop(StopReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Interrupt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool lost() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return held_.has_value() && held_->stop_reason == StopReason::kLeaseLost;
  }

  const SlotLinkOptions options_;
  const std::unique_ptr<v1::Workers::Stub> stub_;

  mutable absl::Mutex mu_;
  bool ready_ ABSL_GUARDED_BY(mu_) = false;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool at_rest_ ABSL_GUARDED_BY(mu_) = false;
  v1::Engine engine_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::OfferedAnalysis> analyses_ ABSL_GUARDED_BY(mu_);
  int64_t memory_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<Held> held_ ABSL_GUARDED_BY(mu_);
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool interrupted_ ABSL_GUARDED_BY(mu_) = false;  // what call_ tells is out of date
  bool answer_now_ ABSL_GUARDED_BY(mu_) = false;   // of the next call
  int failures_ ABSL_GUARDED_BY(mu_) = 0;          // in a row
  absl::Duration retry_at_ ABSL_GUARDED_BY(mu_);
  SteadyEvent news_;  // for the poller: something is otherwise than when it last looked
  SteadyEvent rest_;  // set with at_rest_
  std::jthread poller_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_SLOT_LINK_H_
