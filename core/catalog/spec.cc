#include "core/catalog/spec.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

template <typename Item>
const Item* FindByName(const std::vector<Item>& items, absl::string_view name) {
  for (const Item& item : items) {
    if (item.name == name) return &item;
  }
  return nullptr;
}

}  // namespace

const ParamSpec* Spec::FindParam(absl::string_view name) const { return FindByName(params_, name); }
const InputSpec* Spec::FindInput(absl::string_view name) const { return FindByName(inputs_, name); }

std::any Spec::Decode(const ParamValues& params) const {
  std::any decoded = defaults_;
  void* target = address_(&decoded);
  for (size_t i = 0; i < params_.size(); ++i) setters_[i](params.at(params_[i].name), target);
  return decoded;
}

absl::StatusOr<Plan> Spec::MakePlan(const ParamValues& params, const Headers& headers) const {
  if (!plan_) return Plan{};
  return plan_(Decode(params), headers);
}

std::vector<Violation> InputViolations(const Spec& spec,
                                       const std::map<std::string, int64_t>& counts) {
  std::vector<std::string> names;
  for (const InputSpec& input : spec.inputs()) names.push_back(input.name);
  std::vector<Violation> violations;
  for (const auto& [name, count] : counts) {
    const InputSpec* input = spec.FindInput(name);
    if (input == nullptr) {
      violations.push_back(
          {absl::StrCat("inputs.", name),
           absl::StrCat("is not an input of ", spec.name(), "; ",
                        names.empty() ? "it has none"
                                      : absl::StrCat("it takes ", absl::StrJoin(names, ", ")))});
    } else if (count > 1 && !input->options.list) {
      violations.push_back(
          {absl::StrCat("inputs.", name), absl::StrCat("has ", count, " artifacts; one is taken")});
    }
  }
  for (const InputSpec& input : spec.inputs()) {
    auto given = counts.find(input.name);
    if (!input.options.optional && (given == counts.end() || given->second == 0)) {
      violations.push_back({absl::StrCat("inputs.", input.name),
                            absl::StrCat("is missing; ", spec.name(), " needs it")});
    }
  }
  return violations;
}

}  // namespace radiograph
