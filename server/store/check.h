// Whether all that is stored fits together: `radiograph doctor`.
#ifndef RADIOGRAPH_SERVER_STORE_CHECK_H_
#define RADIOGRAPH_SERVER_STORE_CHECK_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "core/base/clock.h"
#include "radiograph/v1/server.pb.h"
#include "server/store/store.h"

namespace radiograph {

// Problems as they are found, and about once a second how far it is; not OK ends the check.
using TellCheck = absl::FunctionRef<absl::Status(const v1::CheckResponse&)>;

// Looks through the database, its rows, the blobs' files and, with request.digests(), every byte of
// them; the last response has `done`. Reads only, a page of rows at a time, so that nothing waits
// for it; what is removed or stored meanwhile is no problem. A blob that is found damaged is as
// missing from then on: uploading the same bytes again heals it. Takes little memory. CANCELLED
// once `stopped`.
//
// Reasons: DATABASE_DAMAGED, RECORD_DAMAGED, ROW_ORPHANED, REFERENCE_DANGLING, JOB_INCONSISTENT,
// COUNTER_WRONG, BLOB_MISSING, BLOB_WRONG_SIZE, BLOB_DAMAGED, FILE_UNKNOWN.
absl::Status Check(Store& store, const v1::CheckRequest& request, const Clock& clock,
                   Stopped stopped, TellCheck tell);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_CHECK_H_
