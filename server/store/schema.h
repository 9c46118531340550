// The tables of radiograph.db, and the way to them from older ones.
#ifndef RADIOGRAPH_SERVER_STORE_SCHEMA_H_
#define RADIOGRAPH_SERVER_STORE_SCHEMA_H_

#include "absl/status/status.h"
#include "server/store/connection.h"

namespace radiograph {

// Makes the tables of a new file. FAILED_PRECONDITION when a newer Radiograph wrote it.
absl::Status MigrateSchema(Connection& connection);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_SCHEMA_H_
