// Between bytes and tensors: files, arrays of results, and whether numbers are finite.
#ifndef RADIOGRAPH_CORE_TENSOR_TENSORS_H_
#define RADIOGRAPH_CORE_TENSOR_TENSORS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/results/result.h"
#include "core/safetensors/file.h"

namespace radiograph {

// In the stored dtype, on the CPU. Where the file holds it aligned, the tensor is the mapping
// itself, kept alive by it: never write to it. Else a copy. INVALID_ARGUMENT for a dtype or rank
// that analyses don't read (CheckReadable in safetensors/header.h).
absl::StatusOr<at::Tensor> TensorOf(std::shared_ptr<const safetensors::MappedTensors> file,
                                    const safetensors::TensorInfo& info);

// Writes a safetensors file of them, wherever they are. INVALID_ARGUMENT for names, texts or a
// number of tensors that the format does not allow.
absl::Status WriteTensors(const std::string& path, const std::map<std::string, at::Tensor>& tensors,
                          const std::map<std::string, std::string>& texts = {});

// `axes` names the dimensions: "class", "rank", ... The dtype is the tensor's own.
Array ToArray(std::string name, std::vector<std::string> axes, const at::Tensor& tensor,
              bool nan_allowed = false);
// A copy, on the CPU.
at::Tensor ToTensor(const Array& array);

// INVALID_ARGUMENT naming the tensor, the value and the first flat index where it isn't finite.
absl::Status CheckFinite(absl::string_view name, const at::Tensor& tensor);

// "[2, 3]"
std::string ShapeText(const at::Tensor& tensor);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_TENSOR_TENSORS_H_
