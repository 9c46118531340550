// Digests of artifacts that were stored before the algorithm changed.
#ifndef RADIOGRAPH_SERVER_STORE_INPUT_DIGESTS_H_
#define RADIOGRAPH_SERVER_STORE_INPUT_DIGESTS_H_

#include "absl/status/status.h"
#include "server/store/connection.h"

namespace radiograph {

// Gives every artifact the InputDigest (core/catalog/cache_key.h) of its files and roles; in the
// migration.
absl::Status RenewInputDigests(Connection& connection);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_INPUT_DIGESTS_H_
