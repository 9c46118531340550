#include "core/compute/control.h"

#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <utility>

#include "core/base/log.h"
#include "core/process/frames.h"

namespace radiograph {
namespace {

// _exit: no destructor may wait for a thread that is busy.
[[noreturn]] void EndProcess(const absl::Status& status) {
  if (status.ok()) _exit(EXIT_SUCCESS);
  Log(LogLevel::kError, "protocol", {{"error", status.ToString()}});
  _exit(EXIT_FAILURE);
}

}  // namespace

Control::Control(int fd) {
  std::jthread([this, fd] { Read(fd); }).detach();
}

Control::Job Control::Next() {
  absl::MutexLock lock(&mu_);
  auto arrived = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return next_.has_value(); };
  mu_.Await(absl::Condition(&arrived));
  return *std::exchange(next_, std::nullopt);
}

void Control::Read(int fd) {
  LineReader lines(fd, "the agent");
  while (true) {
    std::optional<std::string> line = lines.Next();
    if (!line.has_value()) {
      absl::StatusOr<bool> more = lines.Fill();
      if (!more.ok() || !*more) EndProcess(more.status());
      continue;
    }
    absl::StatusOr<FrameToCompute> frame = ParseFrameToCompute(*line);
    if (!frame.ok()) EndProcess(frame.status());
    absl::MutexLock lock(&mu_);
    if (auto* run = std::get_if<RunFrame>(&*frame)) {
      stop_ = std::stop_source();
      next_ = Job{std::move(run->folder), stop_.get_token()};
    } else {
      stop_.request_stop();  // after the job's end this stops nothing
    }
  }
}

}  // namespace radiograph
