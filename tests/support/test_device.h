// A device that isn't one: tensors of type PrivateUse1 in host memory. Every operation copies its
// tensors to the CPU, runs there and copies back, and refuses tensors of rank >= 1 that are on the
// CPU: what LibTorch lets pass on the CPU and a GPU would not.
#ifndef RADIOGRAPH_TESTS_SUPPORT_TEST_DEVICE_H_
#define RADIOGRAPH_TESTS_SUPPORT_TEST_DEVICE_H_

#include <ATen/core/Tensor.h>

namespace radiograph::testing {

// Registers the device at the first call. From then on LibTorch asks it for its default
// accelerator.
at::Device TestDevice();

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_TESTS_SUPPORT_TEST_DEVICE_H_
