// A model's tensors, a line each ("embed.weight 64 64"), an empty line, then config.json. What the
// server makes of them: an architecture, and the plan of every analysis.
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/analyses/catalog.h"
#include "core/architecture/architecture.h"
#include "tests/fuzz/fuzz.h"

namespace radiograph {
namespace {

safetensors::TensorInfo Tensor(absl::string_view line) {
  std::vector<std::string> words = absl::StrSplit(line, ' ');
  safetensors::TensorInfo tensor{.name = words[0], .dtype = safetensors::DType::kF16, .shape = {}};
  for (size_t i = 1; i < words.size() && i <= safetensors::kRankMax; ++i) {
    int64_t size = 0;
    if (absl::SimpleAtoi(words[i], &size) && size >= 0) tensor.shape.push_back(size);
  }
  if (absl::StatusOr<int64_t> bytes = safetensors::TensorBytes(tensor.dtype, tensor.shape);
      bytes.ok()) {
    tensor.end = *bytes;
  } else {
    tensor.shape.clear();  // no header holds such a shape
    tensor.end = 2;
  }
  return tensor;
}

// Plans refuse with any of these codes, and never overflow.
void CheckPlans(const ArtifactHeader& artifact) {
  for (const Spec& spec : Catalog()) {
    absl::StatusOr<ParamValues> defaults = NormalizeParams(spec, Json::object());
    for (const InputSpec& input : spec.inputs()) {
      Headers headers;
      headers.inputs[input.name] = {artifact};
      absl::StatusOr<Plan> plan = spec.MakePlan(*defaults, headers);
      if (plan.ok()) {
        FUZZ_CHECK(plan->memory_bytes >= 0 && plan->seconds >= 0);
      } else {
        FUZZ_CHECK(absl::IsInvalidArgument(plan.status()) || absl::IsNotFound(plan.status()) ||
                   absl::IsFailedPrecondition(plan.status()));
        CheckMessage(plan.status());
      }
    }
  }
}

}  // namespace

void Fuzz(absl::string_view bytes) {
  std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(bytes, absl::MaxSplits("\n\n", 1));
  std::map<std::string, safetensors::TensorInfo> by_name;  // as in a header: no name twice
  for (absl::string_view line : absl::StrSplit(parts.first, '\n')) {
    safetensors::TensorInfo tensor = Tensor(line);
    if (IsUtf8(tensor.name)) by_name.emplace(tensor.name, tensor);
  }
  std::vector<safetensors::TensorInfo> tensors;
  for (auto& [name, tensor] : by_name) tensors.push_back(std::move(tensor));

  const Architecture architecture = ResolveArchitecture(tensors, parts.second).architecture;
  absl::StatusOr<Architecture> again = Architecture::FromJson(architecture.ToJson());
  FUZZ_CHECK(again.ok());
  // A dimension beyond 2^53 (beside one of 0) is no JSON number: the input's digest refuses it.
  absl::StatusOr<std::string> canonical = CanonicalJson(architecture.ToJson());
  if (!canonical.ok()) return CheckRefusal(canonical.status());
  FUZZ_CHECK(*CanonicalJson(again->ToJson()) == *canonical);
  CheckPlans({.architecture = architecture, .tensors = std::move(tensors), .roles = {}});
}

}  // namespace radiograph
