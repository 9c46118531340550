// A child process in a process group of its own, with a pipe to it (its descriptor 3), a pipe from
// it (its descriptor 4), and the end of what it says on stdout and stderr. It inherits nothing
// else.
#ifndef RADIOGRAPH_CORE_PROCESS_CHILD_H_
#define RADIOGRAPH_CORE_PROCESS_CHILD_H_

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "core/base/file.h"

namespace radiograph {

inline constexpr int64_t kStderrTailBytes = 64 << 10;

// The program that spawns must ignore SIGPIPE: a write to a dead child is an error, not a death.
// Used from one thread at a time. Destruction kills the whole process group and waits.
class Child {
 public:
  // `environment` holds "NAME=value". The child has all signals at their default, none blocked, and
  // is the first that the kernel kills when memory runs out.
  static absl::StatusOr<std::unique_ptr<Child>> Spawn(const std::string& binary,
                                                      const std::vector<std::string>& arguments,
                                                      const std::vector<std::string>& environment);
  ~Child();
  Child(const Child&) = delete;

  int pid() const { return pid_; }
  int to() const { return to_.get(); }      // writes to the child
  int from() const { return from_.get(); }  // reads from the child
  bool exited();                            // never waits

  // Kills the process group, waits for the child and for the rest of its stderr.
  void Kill();
  // How it ended, after exited() or Kill(): "exited with status 3", "was killed by signal 9
  // (Killed)".
  std::string EndText() const;
  // Whether SIGKILL ended it, whoever sent that.
  bool was_killed() const;
  int64_t peak_host_bytes() const { return peak_host_bytes_; }  // after its end
  // The last kStderrTailBytes; bytes that aren't UTF-8 (the cut may split a character) are
  // replaced.
  std::string StderrTail() const;

 private:
  Child(int pid, UniqueFd to, UniqueFd from, UniqueFd output, UniqueFd wake);
  bool Reap(bool wait);
  void ReadOutput();

  const int pid_;
  UniqueFd to_, from_, output_;
  UniqueFd wake_;  // an eventfd: no more output is awaited
  bool reaped_ = false;
  int wait_status_ = 0;
  int64_t peak_host_bytes_ = 0;
  mutable absl::Mutex mu_;
  std::string tail_ ABSL_GUARDED_BY(mu_);
  std::jthread output_reader_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_PROCESS_CHILD_H_
