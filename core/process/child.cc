#include "core/process/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr int kFirstFreeFd = 5;  // the child's 0..4 are set, the rest is closed
constexpr int kHighFd = 10;

struct Pipe {
  UniqueFd read, write;
};

// With both ends at 10 or above: dup2 onto 3 and 4 can't hit an end that is still needed.
absl::StatusOr<Pipe> MakePipe() {
  int low[2];
  if (pipe2(low, O_CLOEXEC) != 0) return ErrnoStatus(errno, "can't make", "a pipe");
  UniqueFd read(low[0]), write(low[1]);
  Pipe high{UniqueFd(fcntl(low[0], F_DUPFD_CLOEXEC, kHighFd)),
            UniqueFd(fcntl(low[1], F_DUPFD_CLOEXEC, kHighFd))};
  if (!high.read.valid() || !high.write.valid()) return ErrnoStatus(errno, "can't move", "a pipe");
  return high;
}

// posix_spawn's two argument objects, destroyed at the end.
struct SpawnSetup {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

// These fail for want of memory only.
int Prepare(SpawnSetup& setup, int to, int from, int output) {
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  int error = posix_spawn_file_actions_addopen(&setup.actions, 0, "/dev/null", O_RDONLY, 0);
  for (auto [fd, target] : {std::pair(output, 1), {output, 2}, {to, 3}, {from, 4}}) {
    if (error == 0) error = posix_spawn_file_actions_adddup2(&setup.actions, fd, target);
  }
  if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&setup.actions, kFirstFreeFd);
  if (error == 0) error = posix_spawnattr_setsigdefault(&setup.attributes, &all);
  if (error == 0) error = posix_spawnattr_setsigmask(&setup.attributes, &none);
  if (error == 0) error = posix_spawnattr_setpgroup(&setup.attributes, 0);
  if (error == 0) {
    error = posix_spawnattr_setflags(
        &setup.attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  }
  return error;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::string RepairedUtf8(const std::string& text) {
  std::string json = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  return Json::parse(json).get<std::string>();
}

// Where the kernel forbids it (a container with its own floor), the default stays.
void OfferToOutOfMemoryKiller(int pid) {
  UniqueFd file(open(absl::StrCat("/proc/", pid, "/oom_score_adj").c_str(), O_WRONLY | O_CLOEXEC));
  [[maybe_unused]] ssize_t put = write(file.get(), "1000", 4);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Child>> Child::Spawn(const std::string& binary,
                                                    const std::vector<std::string>& arguments,
                                                    const std::vector<std::string>& environment) {
  ASSIGN_OR_RETURN(Pipe to, MakePipe());
  ASSIGN_OR_RETURN(Pipe from, MakePipe());
  ASSIGN_OR_RETURN(Pipe output, MakePipe());
  UniqueFd wake(eventfd(0, EFD_CLOEXEC));
  if (!wake.valid()) return ErrnoStatus(errno, "can't make", "an eventfd");
  SpawnSetup setup;
  int error = Prepare(setup, to.read.get(), from.write.get(), output.write.get());
  std::vector<std::string> command = {binary};
  command.insert(command.end(), arguments.begin(), arguments.end());
  pid_t pid = 0;
  if (error == 0) {
    error = posix_spawn(&pid, binary.c_str(), &setup.actions, &setup.attributes,
                        Pointers(command).data(), Pointers(environment).data());
  }
  if (error != 0) return ErrnoStatus(error, "can't start", binary);
  OfferToOutOfMemoryKiller(pid);
  return std::unique_ptr<Child>(new Child(pid, std::move(to.write), std::move(from.read),
                                          std::move(output.read), std::move(wake)));
}

Child::Child(int pid, UniqueFd to, UniqueFd from, UniqueFd output, UniqueFd wake)
    : pid_(pid),
      to_(std::move(to)),
      from_(std::move(from)),
      output_(std::move(output)),
      wake_(std::move(wake)),
      output_reader_([this] { ReadOutput(); }) {}

Child::~Child() { Kill(); }

// The rest of the group is killed while the dead child still holds the group's number: later it may
// be another's.
bool Child::Reap(bool wait) {
  if (reaped_) return true;
  siginfo_t info = {};
  int error;
  do {
    error = waitid(P_PID, pid_, &info, WEXITED | WNOWAIT | (wait ? 0 : WNOHANG));
  } while (error != 0 && errno == EINTR);
  if (error != 0 || info.si_pid != pid_) return false;
  kill(-pid_, SIGKILL);
  rusage usage = {};
  wait4(pid_, &wait_status_, 0, &usage);
  reaped_ = true;
  peak_host_bytes_ = static_cast<int64_t>(usage.ru_maxrss) * 1024;
  return true;
}

bool Child::exited() { return Reap(/*wait=*/false); }

void Child::Kill() {
  if (!reaped_) kill(-pid_, SIGKILL);
  Reap(/*wait=*/true);
  if (!output_reader_.joinable()) return;
  uint64_t one = 1;
  [[maybe_unused]] ssize_t put = write(wake_.get(), &one, sizeof(one));
  output_reader_.join();
}

std::string Child::EndText() const {
  if (WIFSIGNALED(wait_status_)) {
    int signal = WTERMSIG(wait_status_);
    return absl::StrCat("was killed by signal ", signal, " (", strsignal(signal), ")");
  }
  return absl::StrCat("exited with status ", WEXITSTATUS(wait_status_));
}

bool Child::was_killed() const {
  return WIFSIGNALED(wait_status_) && WTERMSIG(wait_status_) == SIGKILL;
}

std::string Child::StderrTail() const {
  absl::MutexLock lock(&mu_);
  const size_t size = tail_.size();
  return RepairedUtf8(size <= kStderrTailBytes ? tail_ : tail_.substr(size - kStderrTailBytes));
}

// Ends at the end of the stream; once woken, as soon as nothing is left to read (another process
// may hold the pipe open).
void Child::ReadOutput() {
  char chunk[16 << 10];
  while (true) {
    pollfd waits[2] = {{output_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (poll(waits, 2, -1) < 0) continue;  // EINTR
    if (waits[0].revents == 0) return;
    absl::StatusOr<int64_t> got = ReadSome(output_.get(), absl::MakeSpan(chunk), "stderr");
    if (!got.ok() || *got == 0) return;
    absl::MutexLock lock(&mu_);
    tail_.append(chunk, *got);
    if (tail_.size() > 2 * kStderrTailBytes) tail_.erase(0, tail_.size() - kStderrTailBytes);
  }
}

}  // namespace radiograph
