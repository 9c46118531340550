#include "core/analyses/analysis.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/nearest_names.h"
#include "core/base/status_macros.h"
#include "core/tensor/run_torch.h"
#include "core/tensor/tensors.h"

namespace radiograph {

absl::StatusOr<at::Tensor> Artifact::Tensor(absl::string_view name) const {
  std::vector<std::string> names;
  for (const auto& file : files) {
    if (const safetensors::TensorInfo* info = file->header().Find(name))
      return TensorOf(file, *info);
    for (const auto& tensor : file->header().tensors) names.push_back(tensor.name);
  }
  return absl::NotFoundError(absl::StrCat("there is no tensor '", name, "'; the nearest are ",
                                          absl::StrJoin(NearestNames(name, names), ", ")));
}

const Artifact* Inputs::Find(absl::string_view input) const {
  const auto found = artifacts.find(std::string(input));
  return found == artifacts.end() || found->second.empty() ? nullptr : &found->second.front();
}

absl::StatusOr<Result> Analysis::Run(const ParamValues& params, const Inputs& inputs,
                                     Context& context) const {
  absl::StatusOr<Result> result = absl::InternalError("the analysis did not run");
  RETURN_IF_ERROR(RunTorch([&] {
    result = run_(spec_.Decode(params), inputs, context);
    return result.status();
  }));
  return result;
}

}  // namespace radiograph
