// What Clang must warn of: tests/sanitize/run looks whether this does not compile.
#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace radiograph {

class Counter {
 public:
  void Add() { ++count_; }  // without the lock
  absl::Status Store() ABSL_LOCKS_EXCLUDED(mu_);
  void Flush() { Store(); }  // drops the Status

 private:
  absl::Mutex mu_;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace radiograph
