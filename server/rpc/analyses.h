// What the handlers of Analyses do: the Specs of this build as messages.
#ifndef RADIOGRAPH_SERVER_RPC_ANALYSES_H_
#define RADIOGRAPH_SERVER_RPC_ANALYSES_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/catalog/spec.h"
#include "radiograph/v1/analyses.pb.h"
#include "server/rpc/header_cache.h"
#include "server/store/store.h"

namespace radiograph {

// INTERNAL when the Spec does not fit the message: our bug.
absl::StatusOr<v1::Analysis> AnalysisOf(const Spec& spec);

// Those of `catalog` that take the artifact request.for_artifact() as one of their inputs: with the
// default parameters and that input alone their Plan finds no fault.
absl::StatusOr<v1::ListAnalysesResponse> ListAnalyses(absl::Span<const Spec> catalog, Store& store,
                                                      HeaderCache& headers,
                                                      const std::string& tenant,
                                                      const v1::ListAnalysesRequest& request);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_ANALYSES_H_
