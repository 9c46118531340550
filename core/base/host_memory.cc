#include "core/base/host_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"

namespace radiograph {
namespace {

constexpr int64_t kProcBytesMax = 1 << 20;
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

std::vector<std::string> Lines(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kProcBytesMax);
  if (!text.ok()) return {};
  return absl::StrSplit(*text, '\n', absl::SkipEmpty());
}

// The number behind "<key>" in a file of such lines; -1 when there is none.
int64_t NumberAfter(const std::string& path, absl::string_view key) {
  for (const std::string& line : Lines(path)) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    int64_t number;
    if (words.size() >= 2 && words[0] == key && absl::SimpleAtoi(words[1], &number)) return number;
  }
  return -1;
}

// "max", and a file that isn't there, set no limit.
int64_t LimitIn(const std::string& path) {
  const std::vector<std::string> lines = Lines(path);
  int64_t limit;
  return lines.size() == 1 && absl::SimpleAtoi(lines[0], &limit) ? limit : kNoLimit;
}

struct ControlGroup {
  std::string folder;  // where its kind is mounted
  std::string path;    // below that: "/a/b"; of the whole system's tree when we see a part only
  const char* limit_file = "/memory.max";
  const char* kills_file = "/memory.events";
};

// Version 1 where it manages memory, else version 2.
ControlGroup ControlGroupOf(int pid, const std::string& root) {
  ControlGroup group{.folder = root + "/sys/fs/cgroup", .path = ""};
  for (const std::string& line : Lines(absl::StrCat(root, "/proc/", pid, "/cgroup"))) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    if (parts[1] == "memory") {
      return {root + "/sys/fs/cgroup/memory", parts[2], "/memory.limit_in_bytes",
              "/memory.oom_control"};
    }
    if (parts[1].empty()) group.path = parts[2];
  }
  return group;
}

}  // namespace

HostMemory HostMemoryOf(int pid, const std::string& root) {
  HostMemory memory;
  memory.limit_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  ControlGroup group = ControlGroupOf(pid, root);
  while (true) {
    const std::string folder = group.folder + group.path;
    memory.limit_bytes = std::min(memory.limit_bytes, LimitIn(folder + group.limit_file));
    if (memory.kills_file.empty() && NumberAfter(folder + group.kills_file, "oom_kill") >= 0) {
      memory.kills_file = folder + group.kills_file;
    }
    const size_t slash = group.path.rfind('/');
    if (slash == std::string::npos) break;
    group.path.resize(slash);
  }
  if (memory.kills_file.empty()) memory.kills_file = root + "/proc/vmstat";
  rlimit space{};
  const bool bounded = prlimit(pid, RLIMIT_AS, nullptr, &space) == 0 &&
                       space.rlim_cur < static_cast<rlim_t>(memory.limit_bytes);
  if (bounded) memory.limit_bytes = static_cast<int64_t>(space.rlim_cur);
  memory.used_bytes = 1024 * std::max<int64_t>(0, NumberAfter(absl::StrCat(root, "/proc/", pid,
                                                                           "/status"),
                                                              bounded ? "VmSize:" : "VmRSS:"));
  return memory;
}

int64_t OutOfMemoryKills(const std::string& kills_file) {
  return std::max<int64_t>(0, NumberAfter(kills_file, "oom_kill"));
}

}  // namespace radiograph
