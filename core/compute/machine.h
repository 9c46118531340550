// What this machine offers and what this process has used of it.
#ifndef RADIOGRAPH_CORE_COMPUTE_MACHINE_H_
#define RADIOGRAPH_CORE_COMPUTE_MACHINE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace radiograph {

// The cores that this process may run on: its affinity, or the quota of its control group where
// that is less. At least 1. More threads than these are many times slower than as many.
int64_t UsableCores();

// The parts of UsableCores that read texts. 0 when the text sets no limit.
int64_t CoresOfCpuMax(absl::string_view cpu_max);  // "200000 100000" is 2, "max 100000" no limit

// "AMD EPYC 9654 96-Core Processor", from /proc/cpuinfo; empty when it doesn't say.
std::string CpuModel();
// "NVIDIA H200" of the GPU with this UUID, from the driver's /proc folder; empty when it isn't
// there.
std::string GpuModel(absl::string_view uuid);

// The largest resident size since the last reset, 0 when unknown.
int64_t PeakHostBytes();
void ResetPeakHostBytes();

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_COMPUTE_MACHINE_H_
