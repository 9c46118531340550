// What the handlers of Artifacts do, beyond asking the catalogue.
#ifndef RADIOGRAPH_SERVER_RPC_ARTIFACTS_H_
#define RADIOGRAPH_SERVER_RPC_ARTIFACTS_H_

#include <google/protobuf/map.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/catalog/params.h"
#include "radiograph/v1/artifacts.pb.h"
#include "server/rpc/header_cache.h"
#include "server/store/store.h"

namespace radiograph {

inline constexpr int kLabelsMax = 64;
inline constexpr int kLabelKeyBytesMax = 64;
inline constexpr int kLabelValueBytesMax = 256;

// Adds what is wrong with a map of labels or roles, which `field` names.
void CheckLabels(const google::protobuf::Map<std::string, std::string>& labels,
                 const std::string& field, std::vector<Violation>& violations);

// INVALID_ARGUMENT as in core/artifact/resolve.h and with violations; FAILED_PRECONDITION
// (BLOBS_MISSING) naming the files that have not been uploaded. With validate_only: what would be
// made, without version.
absl::StatusOr<v1::Artifact> CreateArtifact(Store& store, const std::string& tenant,
                                            const v1::CreateArtifactRequest& request);

// As it is read today. Of one whose files can't be read now the notes say why.
absl::StatusOr<v1::Artifact> GetArtifact(Store& store, HeaderCache& headers,
                                         const std::string& tenant,
                                         const v1::GetArtifactRequest& request);

absl::StatusOr<v1::ListTensorsResponse> ListTensors(Store& store, HeaderCache& headers,
                                                    const std::string& tenant,
                                                    const v1::ListTensorsRequest& request);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_ARTIFACTS_H_
