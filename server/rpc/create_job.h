// What Jobs.Create does before the queue hears of it: which artifacts are meant, whether the
// parameters and inputs suit the analysis, what the run will need, and its cache key.
#ifndef RADIOGRAPH_SERVER_RPC_CREATE_JOB_H_
#define RADIOGRAPH_SERVER_RPC_CREATE_JOB_H_

#include "absl/status/statusor.h"
#include "core/catalog/spec.h"
#include "radiograph/v1/jobs.pb.h"
#include "server/jobs/jobs.h"
#include "server/rpc/header_cache.h"
#include "server/store/store.h"

namespace radiograph {

inline constexpr int64_t kJobArtifactsMax = 4096;  // of all inputs
inline constexpr int64_t kJobTimeoutSecondsMax = 366 * 24 * 3600;
inline constexpr int64_t kJobRecordBytesMax = 2 << 20;  // of its pinned inputs and parameters

// Pins every input (NAME, NAME@VERSION, job:ID/OUTPUT), reads headers and asks PrepareJob
// (core/process/prepare_job.h), whose outcomes it has; NOT_FOUND names an artifact that isn't
// there.
absl::StatusOr<ResolvedJob> ResolveJob(const Spec& spec, Store& store, HeaderCache& headers,
                                       const std::string& tenant,
                                       const v1::CreateJobRequest& request);

// All of Jobs.Create.
absl::StatusOr<v1::CreateJobResponse> CreateJob(Store& store, HeaderCache& headers, Jobs& jobs,
                                                const std::string& tenant,
                                                const v1::CreateJobRequest& request);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_CREATE_JOB_H_
