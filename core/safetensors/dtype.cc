#include "core/safetensors/dtype.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"

namespace radiograph::safetensors {
namespace {

struct DTypeRow {
  DType dtype;
  absl::string_view name;
  int64_t bits;
};
// In the order of DType. Source: `Dtype` in safetensors/src/tensor.rs of safetensors 0.8.
constexpr DTypeRow kDTypes[] = {
    {DType::kF64, "F64", 64},
    {DType::kF32, "F32", 32},
    {DType::kF16, "F16", 16},
    {DType::kBF16, "BF16", 16},
    {DType::kI64, "I64", 64},
    {DType::kI32, "I32", 32},
    {DType::kI16, "I16", 16},
    {DType::kI8, "I8", 8},
    {DType::kU8, "U8", 8},
    {DType::kBool, "BOOL", 8},
    {DType::kU64, "U64", 64},
    {DType::kU32, "U32", 32},
    {DType::kU16, "U16", 16},
    {DType::kC64, "C64", 64},
    {DType::kF8E4M3, "F8_E4M3", 8},
    {DType::kF8E5M2, "F8_E5M2", 8},
    {DType::kF8E8M0, "F8_E8M0", 8},
    {DType::kF8E4M3Fnuz, "F8_E4M3FNUZ", 8},
    {DType::kF8E5M2Fnuz, "F8_E5M2FNUZ", 8},
    {DType::kF6E2M3, "F6_E2M3", 6},
    {DType::kF6E3M2, "F6_E3M2", 6},
    {DType::kF4, "F4", 4},
    {DType::kUnknown, "unknown", 0},
};
constexpr size_t kReadCount = 10;  // the first of them

const DTypeRow& Row(DType dtype) { return kDTypes[static_cast<int>(dtype)]; }

}  // namespace

absl::string_view DTypeName(DType dtype) { return Row(dtype).name; }
int64_t DTypeBits(DType dtype) { return Row(dtype).bits; }
bool IsRead(DType dtype) { return static_cast<size_t>(dtype) < kReadCount; }

DType DTypeOfName(absl::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.bits > 0 && row.name == name) return row.dtype;
  }
  return DType::kUnknown;
}

std::string DTypesRead() {
  auto append_name = [](std::string* out, const DTypeRow& row) { absl::StrAppend(out, row.name); };
  return absl::StrJoin(absl::MakeSpan(kDTypes).subspan(0, kReadCount), ", ", append_name);
}

}  // namespace radiograph::safetensors
