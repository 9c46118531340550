// What a Plan sees of the inputs of a job: everything but the numbers.
#ifndef RADIOGRAPH_CORE_CATALOG_HEADERS_H_
#define RADIOGRAPH_CORE_CATALOG_HEADERS_H_

#include <map>
#include <string>
#include <vector>

#include "core/architecture/architecture.h"
#include "core/safetensors/header.h"

namespace radiograph {

struct ArtifactHeader {
  Architecture architecture = {};  // of a MODEL
  std::vector<safetensors::TensorInfo> tensors =
      {};  // of all its files, by name; offsets mean nothing here
  std::map<std::string, std::string> roles = {};  // of a DATASET: role -> tensor name

  // Of a MODEL: tensors that its index names and no file holds. What needs one is refused.
  std::vector<std::string> missing = {};

  const safetensors::TensorInfo* Find(absl::string_view name) const;
  // The tensor of a DATASET that plays `role`; a tensor of that name when no role is set. Null if
  // none.
  const safetensors::TensorInfo* Role(absl::string_view role) const;
};

struct Headers {
  std::map<std::string, std::vector<ArtifactHeader>> inputs;  // by input name

  // The first artifact of an input; null when the input is absent.
  const ArtifactHeader* Find(absl::string_view input) const;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_CATALOG_HEADERS_H_
