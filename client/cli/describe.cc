#include "client/cli/describe.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {

v1::ArtifactKind ToProto(ArtifactKind kind) {
  switch (kind) {
    case ArtifactKind::kModel:
      return v1::MODEL;
    case ArtifactKind::kDataset:
      return v1::DATASET;
    case ArtifactKind::kResult:
      break;
  }
  return v1::RESULT;
}

absl::StatusOr<v1::Analysis> Describe(const Spec& spec) {
  v1::Analysis analysis;
  RETURN_IF_ERROR(JsonToMessage(Description(spec), &analysis));
  return analysis;
}

std::string AnalysisText(const v1::Analysis& analysis, const TextTable& params) {
  std::ostringstream out;
  out << analysis.name() << ", version " << analysis.version() << "\n"
      << analysis.summary() << "\n\n";
  TextTable inputs{.columns = {"INPUT", "KIND", "", "WHAT IT IS"}, .rows = {}};
  for (const v1::AnalysisInput& input : analysis.inputs()) {
    std::string help = input.help();
    if (!input.roles().empty()) {
      absl::StrAppend(&help, help.empty() ? "" : "; ", "roles ",
                      absl::StrJoin(input.roles(), ", "));
    }
    inputs.rows.push_back({absl::StrCat(input.name(), input.list() ? "..." : ""),
                           v1::ArtifactKind_Name(input.kind()), input.optional() ? "optional" : "",
                           help});
  }
  PrintTable(out, inputs);
  out << "\n";
  PrintTable(out, params);
  TextTable metrics{.columns = {"METRIC", "UNIT", "WHAT IT SAYS"}, .rows = {}};
  for (const v1::AnalysisMetric& metric : analysis.metrics()) {
    metrics.rows.push_back({metric.name(), metric.unit(), metric.help()});
  }
  out << "\n";
  PrintTable(out, metrics);
  TextTable arrays{.columns = {"ARRAY", "SHAPE", "UNIT", "WHAT IT HOLDS"}, .rows = {}};
  for (const v1::AnalysisOutput& output : analysis.outputs()) {
    arrays.rows.push_back({output.name(), output.shape(), output.unit(), output.help()});
  }
  out << "\n";
  PrintTable(out, arrays);
  return out.str();
}

}  // namespace radiograph::cli
