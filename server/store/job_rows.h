// How a job's row is read. For job_store.cc and job_transaction.cc.
#ifndef RADIOGRAPH_SERVER_STORE_JOB_ROWS_H_
#define RADIOGRAPH_SERVER_STORE_JOB_ROWS_H_

#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/store/connection.h"
#include "server/store/job_store.h"

namespace radiograph {

#define RADIOGRAPH_JOB_COLUMNS                                                                    \
  "sequence, memory, planned_seconds, cache_key, request_digest, lease_token, embedded, events, " \
  "record, tenant"

absl::Status NoSuchJob(absl::string_view id);
// The row that a statement over RADIOGRAPH_JOB_COLUMNS stands on.
absl::StatusOr<JobRow> ReadJobRow(const Statement& statement);
// Steps first; nullopt at the end.
absl::StatusOr<std::optional<JobRow>> NextJobRow(Statement& statement);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_JOB_ROWS_H_
