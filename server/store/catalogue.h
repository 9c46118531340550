// Artifacts: named, versioned, immutable manifests over blobs. Safe for use from many threads.
#ifndef RADIOGRAPH_SERVER_STORE_CATALOGUE_H_
#define RADIOGRAPH_SERVER_STORE_CATALOGUE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "radiograph/v1/artifacts.pb.h"
#include "server/store/database.h"
#include "server/store/tenant.h"

namespace radiograph {

// NAME, NAME@VERSION or NAME:ALIAS; version 0 without alias is the newest.
struct ArtifactRef {
  std::string name;  // core/base/names.h, in normal form C
  int64_t version = 0;
  std::string alias;
};
// INVALID_ARGUMENT that says what is wrong with the text.
absl::StatusOr<ArtifactRef> ParseArtifactRef(absl::string_view text);

// Names, versions and references are a tenant's own.
class Catalogue {
 public:
  Catalogue(Database* database, const Clock* clock) : database_(database), clock_(clock) {}

  // Stores `artifact` as the next version of its name; durable when OK. The caller fills name,
  // kind, files, labels, roles, architecture and digest, and has checked the files' contents;
  // version, create_time, etag and size are made here. A version of that name with the same content
  // (kind, files, labels, roles) is returned instead. FAILED_PRECONDITION naming the blobs that
  // the tenant doesn't possess; INVALID_ARGUMENT for the name.
  absl::StatusOr<v1::Artifact> Create(const std::string& tenant, v1::Artifact artifact);
  // With the aliases that point at it. NOT_FOUND names the ref.
  absl::StatusOr<v1::Artifact> Get(const std::string& tenant, absl::string_view ref);
  // All versions of a name, or the newest version of every name; of these the ones for which the
  // filter (message_filter.h) holds. Newest first, or oldest first when order_by is create_time. A
  // page may be short and yet have a next one.
  absl::StatusOr<v1::ListArtifactsResponse> List(const std::string& tenant,
                                                 const v1::ListArtifactsRequest& request);
  // `ref` is NAME@VERSION. ABORTED when `etag` is given and another; FAILED_PRECONDITION naming an
  // alias that points at it. A version number is never used again.
  absl::Status Delete(const std::string& tenant, absl::string_view ref, absl::string_view etag);
  // Points the alias at the version that `ref` names (NAME@VERSION, or another alias), or takes it
  // away from there; durable when OK. Of several that come with the same etag one wins, the others
  // get ABORTED, which says where the alias points. The alias as it is now, or was when it is
  // removed; it has another etag each time. NOT_FOUND for a version or an alias to remove that is
  // not there, FAILED_PRECONDITION for one to remove that points elsewhere.
  absl::StatusOr<v1::Alias> SetAlias(const std::string& tenant, const v1::SetAliasRequest& request);

 private:
  Database* const database_;
  const Clock* const clock_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_CATALOGUE_H_
