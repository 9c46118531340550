// Values of parameters, and how a JSON object of them is checked against a Spec.
#ifndef RADIOGRAPH_CORE_CATALOG_PARAMS_H_
#define RADIOGRAPH_CORE_CATALOG_PARAMS_H_

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/json.h"

namespace radiograph {

class Spec;

// monostate is the null of an optional. Enums are their names.
using ParamValue =
    std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<int64_t>,
                 std::vector<double>, std::vector<std::string>, std::map<std::string, std::string>>;
using ParamValues = std::map<std::string, ParamValue>;  // by (dotted) name

// One thing wrong with a request: google.rpc.BadRequest.FieldViolation.
struct Violation {
  std::string field;        // "params.k"
  std::string description;  // "is 0; 1..4096 is allowed"
};
inline constexpr int kViolationsMax = 16;
// The key of the payload of a status: a JSON list of {"description", "field"}.
inline constexpr absl::string_view kViolationsUrl = "radiograph.dev/violations";
// Bytes of a string in a list or map, whatever the range says.
inline constexpr int64_t kElementBytesMax = 4096;

// INVALID_ARGUMENT that carries the violations (at most kViolationsMax) as a payload and whose
// message lists as many as fit in 1 KiB; ViolationsOf reads them back (empty for any other status).
absl::Status ViolationsStatus(const std::vector<Violation>& violations);
std::vector<Violation> ViolationsOf(const absl::Status& status);

// Every parameter of the spec, defaults filled in. Null and absent mean the default. On unknown
// names (nearest names offered), wrong types and values out of range: ViolationsStatus, all of them
// at once. Numbers with an integral value pass for integers (a protobuf Struct holds doubles only)
// and the reverse. NormalizeParams(spec, ToJson(values)) restores the types of values that were
// stored as JSON.
absl::StatusOr<ParamValues> NormalizeParams(const Spec& spec, const Json& given);

Json ToJson(const ParamValue& value);
// {name: value} in canonical order; the dotted names stay flat keys.
Json ToJson(const ParamValues& values);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_CATALOG_PARAMS_H_
