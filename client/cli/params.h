// Values of parameters as they are written on the command line, read by the JSON Schema of the
// analysis.
#ifndef RADIOGRAPH_CLIENT_CLI_PARAMS_H_
#define RADIOGRAPH_CLIENT_CLI_PARAMS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/args.h"
#include "client/cli/output.h"
#include "core/base/json.h"
#include "radiograph/v1/analyses.pb.h"

namespace radiograph::cli {

// `--params FILE`, then each `--param NAME=VALUE` over it: a JSON object. A value is read by the
// type of its parameter: strings are bare, lists are `1,2,3` or a JSON array, maps `a=b,c=d` or a
// JSON object, `null` is an optional's default. INVALID_ARGUMENT naming parameter, value and what
// is allowed; nearest names for an unknown one. Integers beyond 2^53 - 1, which would be rounded on
// their way, are refused.
absl::StatusOr<Json> ReadParams(const v1::Analysis& analysis, const Args& args);

// One value. `schema` is the parameter's own.
absl::StatusOr<Json> ParseValue(const Json& schema, absl::string_view text);

// Name, type, default and help of each parameter.
absl::StatusOr<TextTable> ParamTable(const v1::Analysis& analysis);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_PARAMS_H_
