#include "core/compute/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/log.h"

namespace radiograph {
namespace {

constexpr int64_t kProcBytesMax = 4 << 20;

// The value behind "<key> :" in a file of /proc; empty when there is none.
std::string ProcValue(const std::string& path, absl::string_view key) {
  absl::StatusOr<std::string> text = ReadFile(path, kProcBytesMax);
  if (!text.ok()) return "";
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (parts.size() == 2 && absl::StripAsciiWhitespace(parts[0]) == key) {
      return std::string(absl::StripAsciiWhitespace(parts[1]));
    }
  }
  return "";
}

}  // namespace

int64_t CoresOfCpuMax(absl::string_view cpu_max) {
  std::vector<absl::string_view> parts = absl::StrSplit(absl::StripAsciiWhitespace(cpu_max), ' ');
  int64_t quota, period;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &quota) ||
      !absl::SimpleAtoi(parts[1], &period) || quota <= 0 || period <= 0) {
    return 0;
  }
  return std::max<int64_t>(1, (quota + period - 1) / period);
}

int64_t UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int64_t cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  absl::StatusOr<std::string> cpu_max = ReadFile("/sys/fs/cgroup/cpu.max", kProcBytesMax);
  int64_t quota = cpu_max.ok() ? CoresOfCpuMax(*cpu_max) : 0;
  return std::max<int64_t>(1, quota > 0 ? std::min(cores, quota) : cores);
}

std::string CpuModel() { return ProcValue("/proc/cpuinfo", "model name"); }

std::string GpuModel(absl::string_view uuid) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", error)) {
    std::string path = entry.path() / "information";
    if (ProcValue(path, "GPU UUID") == uuid) return ProcValue(path, "Model");
  }
  return "";
}

int64_t PeakHostBytes() {
  std::vector<std::string> parts = absl::StrSplit(ProcValue("/proc/self/status", "VmHWM"), ' ');
  int64_t kibibytes;
  return absl::SimpleAtoi(parts[0], &kibibytes) ? kibibytes * 1024 : 0;
}

void ResetPeakHostBytes() {
  absl::Status status = WriteFile("/proc/self/clear_refs", "5");
  if (!status.ok()) Log(LogLevel::kInfo, "peak_not_reset", {{"error", status.ToString()}});
}

}  // namespace radiograph
