#include "server/store/input_digests.h"

#include <string>
#include <utility>
#include <vector>

#include "core/base/status_macros.h"
#include "core/catalog/cache_key.h"
#include "radiograph/v1/artifacts.pb.h"
#include "server/store/messages.h"

namespace radiograph {

absl::Status RenewInputDigests(Connection& connection) {
  for (int64_t sequence = 0;;) {
    Statement& next = connection
                          .Prepare(
                              "SELECT sequence, record FROM artifact WHERE sequence > ? "
                              "ORDER BY sequence LIMIT 1")
                          .Bind(1, sequence);
    ASSIGN_OR_RETURN(const bool found, next.Step());
    if (!found) return absl::OkStatus();
    sequence = next.Int(0);
    v1::Artifact artifact;
    RETURN_IF_ERROR(ParseRecord(next.Blob(1), artifact));
    std::vector<NamedBlob> files;
    for (const v1::ArtifactFile& file : artifact.files()) {
      files.push_back({file.name(), file.blob().sha256()});
    }
    ASSIGN_OR_RETURN(std::string digest, InputDigest(std::move(files), {artifact.roles().begin(),
                                                                        artifact.roles().end()}));
    artifact.set_digest(std::move(digest));
    RETURN_IF_ERROR(connection.Prepare("UPDATE artifact SET record = ? WHERE sequence = ?")
                        .BindBlob(1, artifact.SerializeAsString())
                        .Bind(2, sequence)
                        .Run());
  }
}

}  // namespace radiograph
