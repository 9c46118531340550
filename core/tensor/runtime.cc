#include "core/tensor/runtime.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/headeronly/version.h>

namespace radiograph {

void ConfigureTorch(int64_t threads) {
  at::set_num_threads(static_cast<int>(threads));
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  context.setFloat32MatmulPrecision("highest");
  context.setAllowTF32CuDNN(false);
}

std::string TorchVersion() { return TORCH_VERSION; }

std::string CpuCapability() { return at::get_cpu_capability(); }

}  // namespace radiograph
