// google.protobuf.Struct to JSON and back, value by value. (Through MessageToJsonString a NaN
// becomes the string "NaN" and a Value without kind vanishes.)
#ifndef RADIOGRAPH_SERVER_RPC_STRUCT_H_
#define RADIOGRAPH_SERVER_RPC_STRUCT_H_

#include <google/protobuf/struct.pb.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/json.h"

namespace radiograph {

inline constexpr int kStructDepthMax = 16;
inline constexpr int kStructValuesMax = 200'000;
inline constexpr int64_t kStructTextBytesMax = 1 << 20;  // of keys and strings

// A JSON object; whole numbers up to 2^53 - 1 become JSON integers. ViolationsStatus with paths
// that begin with `field` ("params.ode.alpha") for a number that is not finite, a Value without
// kind, and what exceeds a limit.
absl::StatusOr<Json> JsonOfStruct(const google::protobuf::Struct& given, absl::string_view field);

google::protobuf::Value ValueOfJson(const Json& json);
// Of a JSON object.
google::protobuf::Struct StructOfJson(const Json& json);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_STRUCT_H_
