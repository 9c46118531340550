#include "server/rpc/idle_limit.h"

#include <grpcpp/alarm.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/moment.h"

namespace radiograph {
namespace {

// The alarm may still be on its way when the call is over.
struct Guarded {
  absl::Mutex mu;
  grpc::ServerContext* context ABSL_GUARDED_BY(mu);
};

}  // namespace

bool IdleLimit::Wait(absl::FunctionRef<bool()> step) {
  auto guarded = std::make_shared<Guarded>();
  {
    absl::MutexLock lock(&guarded->mu);
    guarded->context = context_;
  }
  grpc::Alarm alarm;
  alarm.Set(MomentIn(idle_max_), [guarded](bool expired) {
    absl::MutexLock lock(&guarded->mu);
    if (expired && guarded->context != nullptr) guarded->context->TryCancel();
  });
  const bool done = step();
  absl::MutexLock lock(&guarded->mu);
  guarded->context = nullptr;
  return done;
}

}  // namespace radiograph
