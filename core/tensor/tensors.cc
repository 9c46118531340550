#include "core/tensor/tensors.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

using safetensors::DType;

constexpr std::pair<DType, at::ScalarType> kTypes[] = {
    {DType::kF64, at::kDouble},    {DType::kF32, at::kFloat}, {DType::kF16, at::kHalf},
    {DType::kBF16, at::kBFloat16}, {DType::kI64, at::kLong},  {DType::kI32, at::kInt},
    {DType::kI16, at::kShort},     {DType::kI8, at::kChar},   {DType::kU8, at::kByte},
    {DType::kBool, at::kBool}};

at::ScalarType ScalarTypeOf(DType dtype) {
  for (const auto& [ours, theirs] : kTypes) {
    if (ours == dtype) return theirs;
  }
  TORCH_CHECK(false, "no scalar type for dtype ", static_cast<int>(dtype));
}

DType DTypeOf(at::ScalarType type) {
  for (const auto& [ours, theirs] : kTypes) {
    if (theirs == type) return ours;
  }
  TORCH_CHECK(false, "safetensors has no dtype ", type);
}

}  // namespace

absl::StatusOr<at::Tensor> TensorOf(std::shared_ptr<const safetensors::MappedTensors> file,
                                    const safetensors::TensorInfo& info) {
  RETURN_IF_ERROR(CheckReadable(info));
  void* data = const_cast<char*>(file->Bytes(info).data());
  const at::TensorOptions options = at::dtype(ScalarTypeOf(info.dtype));
  if (!file->Aligned(
          info)) {  // LibTorch reads unaligned memory slower, and with other bytes as result
    at::Tensor copy = at::empty(info.shape, options);
    std::memcpy(copy.mutable_data_ptr(), data, info.bytes());
    return copy;
  }
  return at::from_blob(
      data, info.shape, [file = std::move(file)](void*) {}, options);
}

absl::Status WriteTensors(const std::string& path, const std::map<std::string, at::Tensor>& tensors,
                          const std::map<std::string, std::string>& texts) {
  std::vector<safetensors::TensorSpec> specs;
  for (const auto& [name, tensor] : tensors) {
    specs.push_back({name, DTypeOf(tensor.scalar_type()), tensor.sizes().vec()});
  }
  ASSIGN_OR_RETURN(safetensors::Writer writer,
                   safetensors::Writer::Create(path, std::move(specs), texts));
  for (const safetensors::TensorInfo& info : writer.tensors()) {
    const at::Tensor bytes = tensors.at(info.name).detach().to(at::kCPU).contiguous();
    RETURN_IF_ERROR(
        writer.Append({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()}));
  }
  return writer.Finish();
}

Array ToArray(std::string name, std::vector<std::string> axes, const at::Tensor& tensor,
              bool nan_allowed) {
  const at::Tensor bytes = tensor.detach().to(at::kCPU).contiguous();
  return {.name = std::move(name),
          .dtype = DTypeOf(bytes.scalar_type()),
          .shape = bytes.sizes().vec(),
          .axes = std::move(axes),
          .bytes = std::string(static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()),
          .nan_allowed = nan_allowed};
}

at::Tensor ToTensor(const Array& array) {
  at::Tensor tensor = at::empty(array.shape, at::dtype(ScalarTypeOf(array.dtype)));
  TORCH_CHECK(tensor.nbytes() == array.bytes.size(), "array ", array.name, " has ",
              array.bytes.size(), " bytes, its shape needs ", tensor.nbytes());
  std::memcpy(tensor.mutable_data_ptr(), array.bytes.data(), array.bytes.size());
  return tensor;
}

absl::Status CheckFinite(absl::string_view name, const at::Tensor& tensor) {
  if (!tensor.is_floating_point()) return absl::OkStatus();
  constexpr int64_t kChunk = 1 << 20;  // a check takes more memory than what it checks
  const at::Tensor flat = tensor.reshape(-1);
  for (int64_t begin = 0; begin < flat.size(0); begin += kChunk) {
    const at::Tensor chunk = flat.narrow(0, begin, std::min(kChunk, flat.size(0) - begin));
    const at::Tensor finite = at::isfinite(chunk);
    if (finite.all().item<bool>()) continue;
    const int64_t index = finite.logical_not().to(at::kByte).argmax().item<int64_t>();
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor '", name, "' ", ShapeText(tensor), " holds ", chunk[index].item<double>(),
        " at flat index ", begin + index, "; finite numbers are needed"));
  }
  return absl::OkStatus();
}

std::string ShapeText(const at::Tensor& tensor) {
  return safetensors::ShapeText(tensor.sizes().vec());
}

}  // namespace radiograph
