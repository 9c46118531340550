#include "server/rpc/analyses.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/status_macros.h"
#include "server/rpc/struct.h"

namespace radiograph {
namespace {

const char* KindName(ParamKind kind) {
  switch (kind) {
    case ParamKind::kBool:
      return "bool";
    case ParamKind::kInt:
      return "int";
    case ParamKind::kNumber:
      return "number";
    case ParamKind::kEnum:
      return "enum";
    case ParamKind::kString:
      return "string";
    case ParamKind::kInts:
      return "ints";
    case ParamKind::kNumbers:
      return "numbers";
    case ParamKind::kStrings:
      return "strings";
    case ParamKind::kMap:
      return "map";
  }
  return "";
}

const char* BetterName(Better better) {
  return better == Better::kHigher ? "higher" : better == Better::kLower ? "lower" : "none";
}

const char* ExactnessName(Exactness exactness) {
  switch (exactness) {
    case Exactness::kExact:
      return "exact";
    case Exactness::kLowerBound:
      return "lower_bound";
    case Exactness::kUpperBound:
      return "upper_bound";
    case Exactness::kEstimate:
      return "estimate";
  }
  return "";
}

void AddParam(const ParamSpec& param, v1::Analysis& analysis) {
  v1::AnalysisParam* to = analysis.add_params();
  to->set_name(param.name);
  to->set_kind(KindName(param.kind));
  to->set_optional(param.optional);
  *to->mutable_default_value() = ValueOfJson(ToJson(param.default_value));
  if (std::isfinite(param.range.min)) to->mutable_min()->set_number_value(param.range.min);
  if (std::isfinite(param.range.max)) to->mutable_max()->set_number_value(param.range.max);
  for (const std::string& value : param.values) to->add_values(value);
  to->set_help(param.help);
}

bool Takes(const Spec& spec, ArtifactKind kind, const ArtifactHeader& header) {
  absl::StatusOr<ParamValues> defaults = NormalizeParams(spec, Json::object());
  if (!defaults.ok()) return false;
  for (const InputSpec& input : spec.inputs()) {
    if (input.kind != kind) continue;
    Headers headers;
    headers.inputs[input.name].push_back(header);
    if (spec.MakePlan(*defaults, headers).ok()) return true;
  }
  return false;
}

}  // namespace

v1::Analysis AnalysisOf(const Spec& spec) {
  v1::Analysis analysis;
  analysis.set_name(spec.name());
  analysis.set_version(spec.version());
  analysis.set_summary(spec.summary());
  for (const ParamSpec& param : spec.params()) AddParam(param, analysis);
  for (const InputSpec& input : spec.inputs()) {
    v1::AnalysisInput* to = analysis.add_inputs();
    to->set_name(input.name);
    to->set_kind(MessageOf(input.kind));
    to->set_optional(input.options.optional);
    to->set_list(input.options.list);
    for (const std::string& role : input.options.roles) to->add_roles(role);
    to->set_help(input.help);
  }
  for (const OutputSpec& output : spec.outputs()) {
    v1::AnalysisOutput* to = analysis.add_outputs();
    to->set_name(output.name);
    to->set_shape(output.shape);
    to->set_unit(output.unit);
    to->set_help(output.help);
  }
  for (const MetricSpec& metric : spec.metrics()) {
    v1::AnalysisMetric* to = analysis.add_metrics();
    to->set_name(metric.name);
    to->set_unit(metric.options.unit);
    to->set_better(BetterName(metric.options.better));
    to->set_exactness(ExactnessName(metric.options.exactness));
    to->set_help(metric.help);
  }
  *analysis.mutable_json_schema() = StructOfJson(JsonSchema(spec));
  return analysis;
}

absl::StatusOr<v1::ListAnalysesResponse> ListAnalyses(absl::Span<const Spec> catalog, Store& store,
                                                      HeaderCache& headers,
                                                      const v1::ListAnalysesRequest& request) {
  v1::ListAnalysesResponse response;
  if (request.for_artifact().empty()) {
    for (const Spec& spec : catalog) *response.add_analyses() = AnalysisOf(spec);
    return response;
  }
  ASSIGN_OR_RETURN(const v1::Artifact artifact, store.catalogue.Get(request.for_artifact()));
  ASSIGN_OR_RETURN(const auto resolved, headers.Get(artifact));
  for (const Spec& spec : catalog) {
    if (Takes(spec, KindOf(artifact.kind()), resolved->header)) {
      *response.add_analyses() = AnalysisOf(spec);
    }
  }
  return response;
}

}  // namespace radiograph
