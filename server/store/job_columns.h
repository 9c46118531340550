// What of a job's record stands beside it, so that lists find it: times and labels.
#ifndef RADIOGRAPH_SERVER_STORE_JOB_COLUMNS_H_
#define RADIOGRAPH_SERVER_STORE_JOB_COLUMNS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/timestamp.pb.h"
#include "radiograph/v1/jobs.pb.h"
#include "server/store/connection.h"

namespace radiograph {

// Nanoseconds since 1970; 0: not set.
int64_t NanosOf(const google::protobuf::Timestamp& time);

// In a write. A job's labels never change.
absl::Status InsertLabels(Connection& connection, const v1::Job& job, int64_t sequence);
absl::Status DeleteLabels(Connection& connection, const v1::Job& job, int64_t sequence);

// For jobs that were stored when nothing stood beside the record; in the migration.
absl::Status FillJobColumns(Connection& connection);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_JOB_COLUMNS_H_
