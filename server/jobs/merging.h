// Jobs that are the same work share one run. The first to come has it; those that come while it
// waits or runs are merged into it (QUEUED, merged_into) and end as it does. When the first is
// cancelled or late, the oldest merged job goes on with the run: nothing is done twice, and
// nobody's cancel takes another's result away.
//
// These are the steps of a job's life that touch more than one job; each inside one transaction.
#ifndef RADIOGRAPH_SERVER_JOBS_MERGING_H_
#define RADIOGRAPH_SERVER_JOBS_MERGING_H_

#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "radiograph/v1/workers.pb.h"
#include "server/jobs/lifecycle.h"
#include "server/store/job_store.h"

namespace radiograph {

// Whether the blobs of all files are here.
using HoldsAll = absl::FunctionRef<absl::StatusOr<bool>(
    const google::protobuf::RepeatedPtrField<v1::ArtifactFile>&)>;

// Stores a new job: merged into the same work in flight, answered from the cache as `cache` says
// (a success whose result has lost a blob is none), or to be run.
absl::Status InsertJob(JobTransaction& transaction, JobRow row, v1::CacheMode cache,
                       const std::string& request, HoldsAll holds_all, absl::Time now);
// The success that answers such a job, if there is one.
absl::StatusOr<std::optional<v1::Job>> FindCachedSuccess(JobTransaction& transaction,
                                                         const v1::Job& job, HoldsAll holds_all);

// Ends the open attempt of `row`; when the job ends with it, so do those merged into it.
absl::Status EndLeased(JobTransaction& transaction, JobRow row, const v1::AttemptReport& report,
                       const Backoff& backoff, absl::Time now);

// kCancelRequested or kDeadlinePassed for `row`. Nothing when it has ended, or was told before.
absl::Status StopJob(JobTransaction& transaction, JobRow row, Happening why, absl::Time now);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_JOBS_MERGING_H_
