#include "server/rpc/analyses.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

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

absl::StatusOr<v1::Analysis> AnalysisOf(const Spec& spec) {
  v1::Analysis analysis;
  const auto parsed =
      google::protobuf::util::JsonStringToMessage(Description(spec).dump(), &analysis);
  if (parsed.ok()) return analysis;
  return absl::InternalError(absl::StrCat(spec.name(), ": ", parsed.ToString()));
}

absl::StatusOr<v1::ListAnalysesResponse> ListAnalyses(absl::Span<const Spec> catalog, Store& store,
                                                      HeaderCache& headers,
                                                      const std::string& tenant,
                                                      const v1::ListAnalysesRequest& request) {
  v1::ListAnalysesResponse response;
  if (request.for_artifact().empty()) {
    for (const Spec& spec : catalog) {
      ASSIGN_OR_RETURN(*response.add_analyses(), AnalysisOf(spec));
    }
    return response;
  }
  ASSIGN_OR_RETURN(const v1::Artifact artifact,
                   store.catalogue.Get(tenant, request.for_artifact()));
  ASSIGN_OR_RETURN(const auto resolved, headers.Get(artifact));
  for (const Spec& spec : catalog) {
    if (Takes(spec, KindOf(artifact.kind()), resolved->header)) {
      ASSIGN_OR_RETURN(*response.add_analyses(), AnalysisOf(spec));
    }
  }
  return response;
}

}  // namespace radiograph
