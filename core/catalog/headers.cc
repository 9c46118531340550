#include "core/catalog/headers.h"

namespace radiograph {

const safetensors::TensorInfo* ArtifactHeader::Find(absl::string_view name) const {
  for (const safetensors::TensorInfo& tensor : tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

const safetensors::TensorInfo* ArtifactHeader::Role(absl::string_view role) const {
  auto named = roles.find(std::string(role));
  return Find(named == roles.end() ? role : absl::string_view(named->second));
}

const ArtifactHeader* Headers::Find(absl::string_view input) const {
  auto found = inputs.find(std::string(input));
  return found == inputs.end() || found->second.empty() ? nullptr : &found->second.front();
}

}  // namespace radiograph
