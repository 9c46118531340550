// The agent's words to this process, read by a thread that does nothing else. When the agent is
// gone, that thread ends the process at once, whatever the others do: a busy compute process must
// not outlive its agent and keep the device.
#ifndef RADIOGRAPH_CORE_COMPUTE_CONTROL_H_
#define RADIOGRAPH_CORE_COMPUTE_CONTROL_H_

#include <optional>
#include <stop_token>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/process/frames.h"

namespace radiograph {

class Control {
 public:
  struct Job {
    std::string folder;
    bool keeps = false;    // questions are answered
    std::stop_token stop;  // a cancel
  };

  // Starts the thread, which never ends: a Control lives as long as the process.
  explicit Control(int fd);
  Control(const Control&) = delete;

  // Waits for the next job.
  Job Next();
  // Waits for the answer to the question of that id, which is new. CANCELLED after a stop request.
  absl::Status AwaitAnswer(int64_t id, std::stop_token stop);

 private:
  [[noreturn]] void Read(int fd);

  absl::Mutex mu_;
  std::optional<Job> next_ ABSL_GUARDED_BY(mu_);
  std::stop_source stop_ ABSL_GUARDED_BY(mu_);  // of the newest job
  AnswerFrame answer_ ABSL_GUARDED_BY(mu_);     // the newest; ids begin at 1
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_COMPUTE_CONTROL_H_
