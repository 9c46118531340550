// A compute process without LibTorch that does what the name of its analysis says:
//   fake.ok      one progress, a result (run.json tells the process id), done
//   fake.refuse  done with INVALID_ARGUMENT and a payload
//   fake.crash   says something on stderr, not all of it UTF-8, and dies by SIGKILL
//   fake.oom     done with an OutOfMemoryError: 3000 bytes of 2000
//   fake.oomkill dies as a process that the kernel kills for want of memory, and counts, where the
//                job's folder is its system_root
//   fake.full    done with the error of a full disk
//   fake.wait    until it is cancelled
//   fake.deaf    ignores cancel
//   fake.flood   1 MiB on stderr, then done
//   fake.junk    a line that is no message
//   fake.long    a line that does not end
//   fake.keep    loads "k", adds "+1" to it and saves it, each told as progress, done
//   fake.save_and_crash   as fake.keep, and dies by SIGKILL in place of done
//   fake.self    done, the message says how the process was started
// It writes its process id to <job folder>/pid first.
#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/cause.h"
#include "core/base/file.h"
#include "core/process/frames.h"
#include "core/process/job_folder.h"

namespace radiograph {
namespace {

constexpr int kFromAgent = 3, kToAgent = 4;

void Say(absl::string_view bytes) {
  if (!WriteAll(kToAgent, bytes, "the agent").ok()) _exit(0);
}

void Done(absl::Status status) {
  Say(ToLine(DoneFrame{.status = std::move(status), .seconds = 0.25, .peak_host_bytes = 1000}));
}

// The next frame; the end of the agent is the end of this process.
FrameToCompute NextFrame(LineReader& lines) {
  while (true) {
    if (auto line = lines.Next()) return ParseFrameToCompute(*line).value();
    if (!lines.Fill().value()) _exit(0);
  }
}

std::string Self() {
  std::set<std::string> open;
  DIR* folder = opendir("/proc/self/fd");
  while (dirent* entry = readdir(folder)) {
    std::string fd = entry->d_name;
    if (fd[0] != '.' && fd != absl::StrCat(dirfd(folder))) open.insert(fd);
  }
  closedir(folder);
  sigset_t blocked;
  sigprocmask(SIG_SETMASK, nullptr, &blocked);
  struct sigaction pipe;
  sigaction(SIGPIPE, nullptr, &pipe);
  const char* cuda = std::getenv("CUDA_VISIBLE_DEVICES");
  return absl::StrCat("fds=", absl::StrJoin(open, ","), " leader=", getpgrp() == getpid(),
                      " blocked=", sigismember(&blocked, SIGUSR1),
                      " sigpipe_default=", pipe.sa_handler == SIG_DFL,
                      " cuda=", cuda == nullptr ? "unset" : cuda,
                      " token=", std::getenv("RADIOGRAPH_TOKEN") == nullptr ? "unset" : "set");
}

absl::Status WriteResult(const std::string& folder) {
  absl::Status status = WriteFile(folder + "/out/result.json", "{\"schema\":1}");
  if (status.ok())
    status = WriteFile(folder + "/out/run.json", absl::StrCat("{\"pid\":", getpid(), "}"));
  if (status.ok()) status = WriteFile(folder + "/out/arrays.safetensors", "arrays");
  if (status.ok()) status = MakeFolders(folder + "/out/figures");
  if (status.ok()) status = WriteFile(folder + "/out/figures/a.json", "{\"data\":[]}");
  return status;
}

absl::Status Ask(AskFrame::What what, LineReader& lines) {
  static int64_t id = 0;
  Say(ToLine(FrameFromCompute(AskFrame{++id, what, {.key = "k", .memo = ""}})));
  while (true) {
    FrameToCompute frame = NextFrame(lines);
    if (auto* answer = std::get_if<AnswerFrame>(&frame)) return answer->status;
    return absl::CancelledError("as asked");
  }
}

absl::Status Keep(const std::string& folder, LineReader& lines) {
  absl::Status loaded = Ask(AskFrame::What::kLoad, lines);
  std::string state = "0";
  if (loaded.ok()) state = ReadFile(LoadPath(folder), 1 << 20).value();
  Say(ToLine(Progress{
      .fraction = 0.1, .phase = "loaded", .message = loaded.ok() ? state : loaded.ToString()}));
  if (absl::IsCancelled(loaded)) return loaded;
  if (!WriteFile(SavePath(folder), state + "+1").ok()) _exit(1);
  absl::Status saved = Ask(AskFrame::What::kSave, lines);
  Say(ToLine(Progress{.fraction = 0.2, .phase = "saved", .message = saved.ToString()}));
  return absl::IsCancelled(saved) || absl::IsAborted(saved) ? saved : absl::OkStatus();
}

void Do(const std::string& what, const std::string& folder, LineReader& lines) {
  if (what == "fake.ok") {
    Say(ToLine(Progress{.fraction = 0.5, .phase = "half", .message = "way"}));
    return Done(WriteResult(folder));
  }
  if (what == "fake.refuse") {
    absl::Status status = absl::InvalidArgumentError("k is 0; 1..4096 is allowed");
    status.SetPayload("test/payload", absl::Cord(absl::string_view("\x00\xff", 2)));
    return Done(status);
  }
  if (what == "fake.crash") {
    std::fputs("last words \xff\n", stderr);
    raise(SIGKILL);
  }
  if (what == "fake.oom") {
    return Done(OutOfMemoryError("out of memory: too much",
                                 {.needed_bytes = 3000, .available_bytes = 2000}));
  }
  if (what == "fake.oomkill") {
    if (!WriteFile(folder + "/sys/fs/cgroup/memory.events", "oom_kill 1\n").ok()) _exit(1);
    raise(SIGKILL);
  }
  if (what == "fake.full") {
    return Done(ErrnoStatus(ENOSPC, "can't write", folder + "/out/arrays.safetensors"));
  }
  if (what == "fake.wait") {
    NextFrame(lines);
    return Done(absl::CancelledError("as asked"));
  }
  if (what == "fake.keep" || what == "fake.save_and_crash") {
    absl::Status status = Keep(folder, lines);
    if (what == "fake.save_and_crash") raise(SIGKILL);
    return Done(status.ok() ? WriteResult(folder) : status);
  }
  if (what == "fake.deaf") {
    while (true) NextFrame(lines);
  }
  if (what == "fake.flood") {
    for (int i = 0; i < 16384; ++i) std::fprintf(stderr, "%063d\n", i);
    return Done(absl::OkStatus());
  }
  if (what == "fake.junk") Say("libtorch says hello\n");
  if (what == "fake.long") Say(std::string(2 * kLineBytesMax, 'x'));
  if (what == "fake.self") Done(absl::UnknownError(Self()));
}

void Main() {
  ReadyFrame ready;
  ready.engine.build = "fake";
  ready.engine.device_kind = "cpu";
  ready.engine.threads = 1;
  ready.memory_bytes = 1 << 30;
  for (const char* name :
       {"ok", "refuse", "crash", "oom", "oomkill", "full", "wait", "deaf", "flood", "junk", "long",
        "keep", "save_and_crash", "self"}) {
    ready.analyses.emplace_back(absl::StrCat("fake.", name), 1);
  }
  Say(ToLine(FrameFromCompute(ready)));
  LineReader lines(kFromAgent, "the agent");
  while (true) {
    FrameToCompute frame = NextFrame(lines);
    auto* run = std::get_if<RunFrame>(&frame);
    if (run == nullptr) continue;  // a cancel that came too late
    auto text = ReadFile(run->folder + "/job.json", 1 << 20);
    if (!WriteFile(run->folder + "/pid", absl::StrCat(getpid())).ok()) _exit(1);
    Say(ToLine(StartedFrame{}));
    Do(JobRequest::Parse(text.value()).value().analysis, run->folder, lines);
  }
}

}  // namespace
}  // namespace radiograph

int main() { radiograph::Main(); }
