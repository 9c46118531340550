// The types of elements that safetensors files hold.
#ifndef RADIOGRAPH_CORE_SAFETENSORS_DTYPE_H_
#define RADIOGRAPH_CORE_SAFETENSORS_DTYPE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace radiograph::safetensors {

inline constexpr int64_t kDTypeBytesMax = 64;  // of a name

// Those that safetensors 0.8 has, the ones that analyses read first. kUnknown is any other, whose
// name TensorInfo keeps: later releases of the format add some.
enum class DType {
  // clang-format off
  kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool,
  kU64, kU32, kU16, kC64, kF8E4M3, kF8E5M2, kF8E8M0, kF8E4M3Fnuz, kF8E5M2Fnuz, kF6E2M3, kF6E3M2, kF4,
  kUnknown
  // clang-format on
};

// "F64", "F8_E4M3", ... as in the file.
absl::string_view DTypeName(DType dtype);
// kUnknown for a name that is none of them.
DType DTypeOfName(absl::string_view name);
// Bits of an element: 4 to 64; 0 of kUnknown.
int64_t DTypeBits(DType dtype);
// Whether analyses read tensors of it. All others are carried and listed.
bool IsRead(DType dtype);
// "F64, F32, ..."
std::string DTypesRead();

}  // namespace radiograph::safetensors

#endif  // RADIOGRAPH_CORE_SAFETENSORS_DTYPE_H_
