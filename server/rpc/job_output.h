// Outputs of finished jobs as inputs of others: "job:ID/OUTPUT".
#ifndef RADIOGRAPH_SERVER_RPC_JOB_OUTPUT_H_
#define RADIOGRAPH_SERVER_RPC_JOB_OUTPUT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/catalog/spec.h"
#include "radiograph/v1/artifacts.pb.h"
#include "server/store/store.h"

namespace radiograph {

bool IsJobOutput(absl::string_view ref);

struct JobOutputRef {
  std::string tenant;  // who asks: another tenant's job does not exist
  std::string ref;     // "job:ID/OUTPUT"
};

// OUTPUT `result` is the whole result, a RESULT; the name of an array is a DATASET in which that
// array plays the role that `input` knows. Neither is in the catalogue: the name of the artifact is
// the ref, its version 0. `input` is null for one that the analysis doesn't have.
//
// INVALID_ARGUMENT for a ref of another form and an array where `input` wants several roles;
// NOT_FOUND for a job that isn't there, and for an output, naming those that are;
// FAILED_PRECONDITION naming the state of a job that has not SUCCEEDED.
absl::StatusOr<v1::Artifact> JobOutput(Store& store, const JobOutputRef& given,
                                       const InputSpec* input);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_JOB_OUTPUT_H_
