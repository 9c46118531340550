#include "core/compute/control.h"

#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <utility>

#include "core/base/log.h"

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

absl::Status Control::AwaitAnswer(int64_t id, std::stop_token stop) {
  absl::MutexLock lock(&mu_);
  // A stop is requested under the lock, by Read.
  auto answered = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return answer_.id == id || stop.stop_requested();
  };
  mu_.Await(absl::Condition(&answered));
  if (answer_.id == id) return answer_.status;
  return absl::CancelledError("the job was asked to stop");
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
      next_ = Job{std::move(run->folder), run->keeps, stop_.get_token()};
    } else if (auto* answer = std::get_if<AnswerFrame>(&*frame)) {
      answer_ = std::move(*answer);
    } else {
      stop_.request_stop();  // after the job's end this stops nothing
    }
  }
}

}  // namespace radiograph
