// Process-wide switches of LibTorch, and what it says about itself.
#ifndef RADIOGRAPH_CORE_TENSOR_RUNTIME_H_
#define RADIOGRAPH_CORE_TENSOR_RUNTIME_H_

#include <cstdint>
#include <string>

namespace radiograph {

// Threads, deterministic algorithms, TF32 off. Call once, before the first tensor: results depend
// on all of them, so they are never set per job. `threads` >= 1.
void ConfigureTorch(int64_t threads);

std::string TorchVersion();   // "2.13.0"
std::string CpuCapability();  // "AVX2", "AVX512", ...: which kernels LibTorch took

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_TENSOR_RUNTIME_H_
