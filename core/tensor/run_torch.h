// The one guard around LibTorch: no exception leaves it.
#ifndef RADIOGRAPH_CORE_TENSOR_RUN_TORCH_H_
#define RADIOGRAPH_CORE_TENSOR_RUN_TORCH_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace radiograph {

// Runs `body` with autograd off; a block that needs gradients switches it on for itself by
// c10::AutoGradMode. What LibTorch throws becomes
//   FAILED_PRECONDITION  a decomposition failed: NaN in its input, or no convergence
//   RESOURCE_EXHAUSTED   out of memory, of the host or the device (an OutOfMemoryError, cause.h)
//   UNAVAILABLE          the machine has no thread left
//   INTERNAL             anything else: our bug
absl::Status RunTorch(absl::FunctionRef<absl::Status()> body);

// The first half of it for a text of LibTorch's allocators; its own function for tests without a
// GPU. Of the host what is in use and the limit are asked of the kernel.
absl::Status OutOfMemoryFromText(const std::string& text);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_TENSOR_RUN_TORCH_H_
