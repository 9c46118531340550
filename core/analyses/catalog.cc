#include "core/analyses/catalog.h"

#include "absl/strings/str_cat.h"
#include "core/analyses/bilinear/spectrum_spec.h"
#include "core/base/json.h"
#include "core/base/nearest_names.h"
#include "core/catalog/spec_builder.h"

namespace radiograph {

const std::vector<Spec>& Catalog() {
  static const auto& specs = *new std::vector<Spec>{
      bilinear::SpectrumSpec(),
  };
  return specs;
}

absl::StatusOr<const Spec*> FindSpec(absl::string_view name) {
  std::vector<std::string> names;
  for (const Spec& spec : Catalog()) {
    if (spec.name() == name) return &spec;
    names.push_back(spec.name());
  }
  return absl::NotFoundError(absl::StrCat("there is no analysis ", JsonExcerpt(name),
                                          NearestText("; the nearest are ", name, names)));
}

}  // namespace radiograph
