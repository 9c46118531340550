#include "core/analyses/analysis.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/nearest_names.h"
#include "core/base/status_macros.h"
#include "core/tensor/run_torch.h"
#include "core/tensor/tensors.h"

namespace radiograph {

absl::StatusOr<at::Tensor> Artifact::Tensor(absl::string_view name) const {
  if (const auto file = file_of.find(std::string(name)); file != file_of.end()) {
    const auto& mapped = files.at(file->second);
    if (const safetensors::TensorInfo* info = mapped->header().Find(name)) {
      return TensorOf(mapped, *info);
    }
  }
  std::vector<std::string> names;
  for (const auto& [known, file] : file_of) names.push_back(known);
  return absl::NotFoundError(absl::StrCat("there is no tensor '", name, "'",
                                          NearestText("; the nearest are ", name, names)));
}

const Artifact* Inputs::Find(absl::string_view input) const {
  const auto found = artifacts.find(std::string(input));
  return found == artifacts.end() || found->second.empty() ? nullptr : &found->second.front();
}

Bundle AsKept(const Bundle& bundle, at::Device device) {
  Bundle kept{.tensors = {}, .texts = bundle.texts};
  for (const auto& [name, tensor] : bundle.tensors) {
    kept.tensors[name] =
        at::empty(tensor.sizes(), tensor.options().device(device).requires_grad(false))
            .copy_(tensor.detach());
  }
  return kept;
}

absl::StatusOr<std::optional<Bundle>> Context::Load(absl::string_view) { return std::nullopt; }

absl::Status Context::Save(absl::string_view, const Bundle&) { return absl::OkStatus(); }

absl::StatusOr<Bundle> Context::Memo(absl::string_view,
                                     absl::FunctionRef<absl::StatusOr<Bundle>()> compute) {
  ASSIGN_OR_RETURN(const Bundle bundle, compute());
  return AsKept(bundle, device());
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
