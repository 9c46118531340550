// The analyses that this program was built with, as a server would describe them: for `--local` and
// help.
#ifndef RADIOGRAPH_CLIENT_CLI_DESCRIBE_H_
#define RADIOGRAPH_CLIENT_CLI_DESCRIBE_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/output.h"
#include "core/catalog/spec.h"
#include "radiograph/v1/analyses.pb.h"

namespace radiograph::cli {

// As Analyses.Get of a server answers.
absl::StatusOr<v1::Analysis> Describe(const Spec& spec);

// Inputs, parameters (a ParamTable), metrics and arrays, for people.
std::string AnalysisText(const v1::Analysis& analysis, const TextTable& params);

v1::ArtifactKind ToProto(ArtifactKind kind);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_DESCRIBE_H_
