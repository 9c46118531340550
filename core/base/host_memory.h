// What memory a process of this machine may have, by the kernel's word.
#ifndef RADIOGRAPH_CORE_BASE_HOST_MEMORY_H_
#define RADIOGRAPH_CORE_BASE_HOST_MEMORY_H_

#include <cstdint>
#include <string>

namespace radiograph {

struct HostMemory {
  // The least of the machine's memory, the limits of the process' control group and of those
  // above it (memory.max; memory.limit_in_bytes of version 1), and its address space (RLIMIT_AS).
  int64_t limit_bytes = 0;
  // What counts against that limit: the size in memory, or of the address space.
  int64_t used_bytes = 0;
  // Where the kernel counts whom it has killed for want of memory: in the process' own group, or
  // the nearest above it that counts; else in the whole machine. Holds after the process' end.
  std::string kills_file;
};
// `root` stands before /proc and /sys, for tests.
HostMemory HostMemoryOf(int pid, const std::string& root = "");
// 0 when the file doesn't say.
int64_t OutOfMemoryKills(const std::string& kills_file);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_HOST_MEMORY_H_
