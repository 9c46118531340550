#include "core/process/compute_process.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/host_memory.h"
#include "core/base/status_macros.h"
#include "core/process/child.h"
#include "core/process/frames.h"
#include "core/process/job_folder.h"

extern char** environ;

namespace radiograph {
namespace {

// Ours without our settings (a token may be among them), with one device to see. OpenMP's threads
// sleep while they wait, unless we were told otherwise: where others use the cores too they spin
// for each other (two small jobs on two busy cores: 20 s spinning, 2 s sleeping).
std::vector<std::string> Environment(absl::string_view device) {
  std::vector<std::string> environment;
  if (getenv("OMP_WAIT_POLICY") == nullptr) environment.push_back("OMP_WAIT_POLICY=PASSIVE");
  for (char** entry = environ; *entry != nullptr; ++entry) {
    absl::string_view text = *entry;
    if (absl::StartsWith(text, "RADIOGRAPH_")) continue;
    if (absl::StartsWith(text, "CUDA_VISIBLE_DEVICES=")) continue;
    environment.emplace_back(text);
  }
  environment.push_back(absl::StrCat("CUDA_VISIBLE_DEVICES=", device == "cpu" ? "" : device));
  return environment;
}

absl::Status Keep(const AskFrame& ask, const std::string& folder, std::stop_token stop,
                  Keeper* keeper) {
  if (keeper == nullptr) return absl::FailedPreconditionError("nothing is kept here");
  if (ask.what == AskFrame::What::kSave) return keeper->Save(ask.name, SavePath(folder), stop);
  return keeper->Load(ask.name, LoadPath(folder), stop);
}

absl::Duration Now() { return SystemClock().Monotonic(); }

enum class Event { kFrame, kEnd, kStop, kTimeout };

class ComputeProcessImpl : public ComputeProcess {
 public:
  ComputeProcessImpl(const ComputeOptions& options, std::unique_ptr<Child> child, UniqueFd stop)
      : options_(options),
        child_(std::move(child)),
        stop_(std::move(stop)),
        lines_(child_->from(), "radiograph-compute") {}

  const Engine& engine() const override { return ready_.engine; }
  const std::vector<std::pair<std::string, int64_t>>& analyses() const override {
    return ready_.analyses;
  }
  int64_t memory_bytes() const override { return ready_.memory_bytes; }
  int pid() const override { return child_->pid(); }
  bool alive() const override { return !dead_ && !child_->exited(); }

  absl::Status AwaitReady();
  RunOutcome Run(const std::string& folder, absl::FunctionRef<void()> on_started,
                 absl::FunctionRef<void(const Progress&)> on_progress, std::stop_token stop,
                 Keeper* keeper) override;

 private:
  // Waits for the next frame, the child's end, a stop request (if awaited) or the deadline, which
  // is on the monotonic clock.
  absl::StatusOr<Event> Wait(bool await_stop, absl::Duration deadline, FrameFromCompute* frame);
  absl::Status Send(const FrameToCompute& frame) {
    return WriteAll(child_->to(), ToLine(frame), "the pipe to radiograph-compute");
  }
  std::string Kill();
  RunOutcome Crashed(absl::string_view why);
  RunOutcome Finished(DoneFrame done, bool stopping);

  const ComputeOptions options_;
  std::unique_ptr<Child> child_;
  UniqueFd stop_;  // an eventfd, readable once a stop was requested
  LineReader lines_;
  ReadyFrame ready_;
  bool dead_ = false;
  HostMemory memory_;  // at the begin of the run
  int64_t kills_ = 0;
};

absl::StatusOr<Event> ComputeProcessImpl::Wait(bool await_stop, absl::Duration deadline,
                                               FrameFromCompute* frame) {
  while (true) {
    if (std::optional<std::string> line = lines_.Next()) {
      ASSIGN_OR_RETURN(*frame, ParseFrameFromCompute(*line));
      return Event::kFrame;
    }
    int timeout = -1;
    if (deadline != absl::InfiniteDuration()) {
      absl::Duration left = absl::Ceil(deadline - Now(), absl::Milliseconds(1));
      if (left <= absl::ZeroDuration()) return Event::kTimeout;
      timeout = static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(left), 1 << 30));
    }
    pollfd waits[2] = {{child_->from(), POLLIN, 0}, {await_stop ? stop_.get() : -1, POLLIN, 0}};
    if (poll(waits, 2, timeout) < 0) continue;  // EINTR
    if (waits[1].revents != 0) return Event::kStop;
    if (waits[0].revents == 0) continue;
    ASSIGN_OR_RETURN(bool more, lines_.Fill());
    if (!more) return Event::kEnd;
  }
}

std::string ComputeProcessImpl::Kill() {
  child_->Kill();
  dead_ = true;
  return child_->EndText();
}

absl::Status ComputeProcessImpl::AwaitReady() {
  FrameFromCompute frame;
  absl::StatusOr<Event> event = Wait(false, Now() + options_.start_timeout, &frame);
  std::string problem;
  if (!event.ok()) {
    problem = std::string(event.status().message());
  } else if (*event == Event::kTimeout) {
    problem = absl::StrCat("was silent for ", absl::FormatDuration(options_.start_timeout));
  } else if (*event == Event::kFrame) {
    if (auto* ready = std::get_if<ReadyFrame>(&frame)) {
      ready_ = std::move(*ready);
      return absl::OkStatus();
    }
    problem = "did not begin with \"ready\"";
  }
  std::string end = Kill();
  if (problem.empty()) problem = end;
  return absl::UnavailableError(
      absl::StrCat(options_.binary, " did not start: ", problem, "\n", child_->StderrTail()));
}

RunOutcome ComputeProcessImpl::Crashed(absl::string_view why) {
  std::string end = Kill();
  RunOutcome outcome;
  outcome.end = RunEnd::kCrashed;
  outcome.status = absl::InternalError(
      absl::StrCat("the compute process ", why.empty() ? end : std::string(why)));
  outcome.peak_host_bytes = child_->peak_host_bytes();
  outcome.stderr_tail = child_->StderrTail();
  if (!why.empty() || !child_->was_killed() ||
      OutOfMemoryKills(memory_.kills_file) == kills_) {
    return outcome;
  }
  outcome.end = RunEnd::kOutOfMemory;
  outcome.status = absl::ResourceExhaustedError(
      absl::StrCat("out of memory: the kernel killed the compute process, which had up to ",
                   outcome.peak_host_bytes, " bytes; the limit is ", memory_.limit_bytes));
  outcome.memory = {.needed_bytes = outcome.peak_host_bytes,
                    .available_bytes = memory_.limit_bytes};
  return outcome;
}

RunOutcome ComputeProcessImpl::Finished(DoneFrame done, bool stopping) {
  RunOutcome outcome;
  const std::optional<MemoryNeed> need = MemoryNeedOf(done.status);
  outcome.end = stopping && absl::IsCancelled(done.status) ? RunEnd::kCancelled
                : need.has_value()                         ? RunEnd::kOutOfMemory
                                                           : RunEnd::kFinished;
  outcome.memory = need.value_or(MemoryNeed());
  if (need.has_value() && need->available_bytes == 0) {  // a plain ENOMEM
    outcome.memory.available_bytes = memory_.limit_bytes;
  }
  outcome.status = std::move(done.status);
  outcome.seconds = done.seconds;
  outcome.peak_host_bytes = done.peak_host_bytes;
  outcome.peak_device_bytes = done.peak_device_bytes;
  outcome.stderr_tail = child_->StderrTail();
  return outcome;
}

RunOutcome ComputeProcessImpl::Run(const std::string& folder, absl::FunctionRef<void()> on_started,
                                   absl::FunctionRef<void(const Progress&)> on_progress,
                                   std::stop_token stop, Keeper* keeper) {
  uint64_t count;
  [[maybe_unused]] ssize_t got = read(stop_.get(), &count, sizeof(count));  // of the run before
  std::stop_callback on_stop(stop, [this] {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t put = write(stop_.get(), &one, sizeof(one));
  });
  const absl::Duration begin = Now();
  memory_ = HostMemoryOf(child_->pid(), options_.system_root);
  kills_ = OutOfMemoryKills(memory_.kills_file);
  if (dead_ || !Send(RunFrame{folder, keeper != nullptr}).ok()) return Crashed("");
  bool stopping = false;
  absl::Duration deadline = absl::InfiniteDuration();
  while (true) {
    FrameFromCompute frame;
    absl::StatusOr<Event> event = Wait(!stopping, deadline, &frame);
    if (!event.ok()) return Crashed(absl::StrCat("broke the protocol: ", event.status().message()));
    if (*event == Event::kStop) {
      stopping = true;
      deadline = Now() + options_.cancel_grace;
      if (!Send(CancelFrame{}).ok()) return Crashed("");
    } else if (*event != Event::kFrame) {
      if (!stopping) return Crashed("");
      RunOutcome outcome = Crashed("was killed: it did not stop by itself");
      outcome.end = RunEnd::kCancelled;
      outcome.status = absl::CancelledError(outcome.status.message());
      outcome.seconds = absl::ToDoubleSeconds(Now() - begin);
      return outcome;
    } else if (std::holds_alternative<StartedFrame>(frame)) {
      on_started();
    } else if (auto* progress = std::get_if<Progress>(&frame)) {
      on_progress(*progress);
    } else if (auto* ask = std::get_if<AskFrame>(&frame)) {
      if (!Send(AnswerFrame{ask->id, Keep(*ask, folder, stop, keeper)}).ok()) return Crashed("");
    } else if (auto* done = std::get_if<DoneFrame>(&frame)) {
      return Finished(std::move(*done), stopping);
    } else {
      return Crashed("broke the protocol: \"ready\" in the middle of a job");
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ComputeProcess>> ComputeProcess::Start(
    const ComputeOptions& options) {
  UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop.valid()) return ErrnoStatus(errno, "can't make", "an eventfd");
  std::vector<std::string> arguments = {
      absl::StrCat("--device=", options.device == "cpu" ? "cpu" : "cuda:0"),
      absl::StrCat("--threads=", options.threads)};
  ASSIGN_OR_RETURN(std::unique_ptr<Child> child,
                   Child::Spawn(options.binary, arguments, Environment(options.device)));
  auto process = std::make_unique<ComputeProcessImpl>(options, std::move(child), std::move(stop));
  RETURN_IF_ERROR(process->AwaitReady());
  return process;
}

absl::StatusOr<std::string> SiblingProgram(absl::string_view name) {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return ErrnoStatus(error.value(), "can't read", "/proc/self/exe");
  std::string path = (self.parent_path() / std::string(name)).string();
  if (access(path.c_str(), X_OK) != 0) return ErrnoStatus(errno, "can't run", path);
  return path;
}

}  // namespace radiograph
