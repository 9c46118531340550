// Parameters of a job: refused with violations, or normalised once and for all.
#include <nlohmann/json.hpp>

#include "core/catalog/cache_key.h"
#include "core/catalog/sample_spec.h"
#include "tests/fuzz/fuzz.h"

namespace radiograph {

void Fuzz(absl::string_view bytes) {
  static const Spec& spec = *new Spec(SampleSpec());
  absl::StatusOr<Json> given = ParseJson(bytes);
  if (!given.ok()) return;
  absl::StatusOr<ParamValues> values = NormalizeParams(spec, *given);
  if (!values.ok()) {
    CheckRefusal(values.status());
    FUZZ_CHECK(!ViolationsOf(values.status()).empty());
    FUZZ_CHECK(values.status().GetPayload(kViolationsUrl)->size() <= 4096);
    return;
  }
  FUZZ_CHECK(values->size() == spec.params().size());
  FUZZ_CHECK(spec.MakePlan(*values, {}).ok());  // decodes
  FUZZ_CHECK(*NormalizeParams(spec, ToJson(*values)) == *values);
  FUZZ_CHECK(CacheKey(spec, *values, {}, 0).ok());
}

}  // namespace radiograph
