#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "server/http/server_metrics.h"

namespace radiograph {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Make(const char* name, const char* help, MetricType type, double value) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  prometheus::ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family.metric.push_back(std::move(metric));
  return family;
}

int64_t CountOpenFiles() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  int64_t count = -3;  // ".", "..", and the folder itself
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// The fields of /proc/self/stat behind the program's name: the first of these is the state, field 3
// of proc(5).
std::vector<std::string> StatFields() {
  const absl::StatusOr<std::string> text = ReadFile("/proc/self/stat", 4096);
  if (!text.ok()) return {};
  return absl::StrSplit(text->substr(text->rfind(')') + 2), ' ');
}

double Field(const std::vector<std::string>& stat, size_t number) {
  double value = 0;
  return number - 3 < stat.size() && absl::SimpleAtod(stat[number - 3], &value) ? value : 0;
}

// Field 22 counts ticks since boot.
double StartSeconds(double ticks) {
  timespec since_boot;
  clock_gettime(CLOCK_BOOTTIME, &since_boot);
  const double boot = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch() -
                                            absl::DurationFromTimespec(since_boot));
  return boot + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

std::vector<MetricFamily> ProcessMetrics() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const double cpu = absl::ToDoubleSeconds(absl::DurationFromTimeval(usage.ru_utime) +
                                           absl::DurationFromTimeval(usage.ru_stime));
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  std::vector<MetricFamily> families = {
      Make("process_cpu_seconds_total", "CPU time, user and system.", MetricType::Counter, cpu),
      Make("process_open_fds", "Open file descriptors.", MetricType::Gauge,
           static_cast<double>(CountOpenFiles())),
      Make("process_max_fds", "Limit of open file descriptors.", MetricType::Gauge,
           static_cast<double>(files.rlim_cur))};
  const std::vector<std::string> stat = StatFields();
  if (stat.empty()) return families;
  families.push_back(
      Make("process_threads", "Threads of the process.", MetricType::Gauge, Field(stat, 20)));
  families.push_back(
      Make("process_virtual_memory_bytes", "Virtual memory.", MetricType::Gauge, Field(stat, 23)));
  families.push_back(Make("process_resident_memory_bytes", "Memory in RAM.", MetricType::Gauge,
                          Field(stat, 24) * static_cast<double>(sysconf(_SC_PAGESIZE))));
  families.push_back(Make("process_start_time_seconds", "Start, in seconds since 1970.",
                          MetricType::Gauge, StartSeconds(Field(stat, 22))));
  return families;
}

}  // namespace radiograph
