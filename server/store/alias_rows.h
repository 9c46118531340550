// The rows of aliases: names that are moved from version to version of an artifact. For the
// catalogue.
#ifndef RADIOGRAPH_SERVER_STORE_ALIAS_ROWS_H_
#define RADIOGRAPH_SERVER_STORE_ALIAS_ROWS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "radiograph/v1/artifacts.pb.h"
#include "server/store/connection.h"

namespace radiograph {

inline constexpr int64_t kAliasesMax = 64;  // of one artifact's name
inline constexpr size_t kAliasBytesMax = 64;

// INVALID_ARGUMENT: 1..64 of [a-z0-9_-] that begin with a letter are an alias.
absl::Status CheckAlias(absl::string_view alias);

absl::StatusOr<std::optional<v1::Alias>> FindAlias(Connection& connection,
                                                   const std::string& tenant,
                                                   absl::string_view name, absl::string_view alias);
// NOT_FOUND, with the nearest aliases that the name has.
absl::Status AliasNotFound(Connection& connection, const std::string& tenant,
                           absl::string_view name, absl::string_view alias);
// Adds to the artifact the aliases that point at its version, by name.
absl::Status AddAliases(Connection& connection, const std::string& tenant, v1::Artifact& artifact);

// What Catalogue::SetAlias says, of a version that is there; in a write. The alias as it is now,
// or as it was when it is removed.
absl::StatusOr<v1::Alias> MoveAlias(Connection& connection, const std::string& tenant,
                                    const v1::Artifact& to, const v1::SetAliasRequest& request,
                                    absl::Time now);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_ALIAS_ROWS_H_
