// The tables of radiograph.db, and the way to them from older ones.
#ifndef RADIOGRAPH_SERVER_STORE_SCHEMA_H_
#define RADIOGRAPH_SERVER_STORE_SCHEMA_H_

#include <cstdint>

#include "absl/status/status.h"
#include "server/store/connection.h"

namespace radiograph {

// Makes the tables of a new file, brings those of an older one up to date: a transaction per
// version, so a stop in the middle leaves a whole version. FAILED_PRECONDITION when a newer
// Radiograph wrote it.
// `newest` is for tests of the way there.
inline constexpr int64_t kSchemaVersion = 10;
absl::Status MigrateSchema(Connection& connection, int64_t newest = kSchemaVersion);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_SCHEMA_H_
