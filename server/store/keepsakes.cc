#include "server/store/keepsakes.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

std::string DigestOf(const v1::Engine& engine) { return Sha256Hex(DeterministicBytes(engine)); }

v1::Blob BlobOf(const Statement& row) {
  v1::Blob blob;
  blob.set_sha256(std::string(row.Text(0)));
  blob.set_size(row.Int(1));
  return blob;
}

}  // namespace

absl::Status Keepsakes::RequireBlob(const std::string& name, const v1::Blob& blob) {
  google::protobuf::RepeatedPtrField<v1::ArtifactFile> files;
  v1::ArtifactFile& file = *files.Add();
  file.set_name(name);
  *file.mutable_blob() = blob;
  return RequireBlobs(connection_, kEveryTenant, files);
}

absl::StatusOr<bool> Keepsakes::Unneed(const std::string& sha256) {
  RETURN_IF_ERROR(connection_
                      .Prepare("UPDATE possession SET unneeded_since = ?2 WHERE tenant = '*' "
                               "AND sha256 = ?1 "
                               "AND NOT EXISTS (SELECT 1 FROM kept_state WHERE sha256 = ?1) "
                               "AND NOT EXISTS (SELECT 1 FROM memo WHERE sha256 = ?1)")
                      .Bind(1, sha256)
                      .Bind(2, kStateUnneededSince)
                      .Run());
  return connection_.changes() > 0;
}

absl::StatusOr<std::optional<std::string>> Keepsakes::SaveState(int64_t job, const std::string& key,
                                                                const v1::Engine& engine,
                                                                const KeptState& state) {
  RETURN_IF_ERROR(RequireBlob(key, state.blob));
  Statement& count =
      connection_.Prepare("SELECT count(*) FROM kept_state WHERE job = ? AND key <> ?")
          .Bind(1, job)
          .Bind(2, key);
  ASSIGN_OR_RETURN([[maybe_unused]] const bool counted, count.Step());
  if (count.Int(0) >= kStateKeysMax) {
    return absl::ResourceExhaustedError(absl::StrCat("the job keeps state under ", kStateKeysMax,
                                                     " keys already, and no more may be"));
  }
  Statement& find = connection_.Prepare("SELECT sha256 FROM kept_state WHERE job = ? AND key = ?")
                        .Bind(1, job)
                        .Bind(2, key);
  ASSIGN_OR_RETURN(const bool found, find.Step());
  const std::string before(found ? find.Text(0) : "");
  RETURN_IF_ERROR(
      connection_
          .Prepare("INSERT OR REPLACE INTO kept_state (job, key, engine, attempt, sha256, "
                   "size) VALUES (?, ?, ?, ?, ?, ?)")
          .Bind(1, job)
          .Bind(2, key)
          .Bind(3, DigestOf(engine))
          .Bind(4, state.attempt)
          .Bind(5, state.blob.sha256())
          .Bind(6, state.blob.size())
          .Run());
  if (!found) return std::nullopt;
  ASSIGN_OR_RETURN(const bool unneeded, Unneed(before));
  return unneeded ? std::optional(before) : std::nullopt;
}

absl::StatusOr<std::optional<KeptState>> Keepsakes::LoadState(int64_t job, const std::string& key,
                                                              const v1::Engine& engine) {
  Statement& find = connection_
                        .Prepare(
                            "SELECT sha256, size, attempt FROM kept_state WHERE job = ? AND key = "
                            "? AND engine = ?")
                        .Bind(1, job)
                        .Bind(2, key)
                        .Bind(3, DigestOf(engine));
  ASSIGN_OR_RETURN(const bool found, find.Step());
  if (!found) return std::nullopt;
  return KeptState{.blob = BlobOf(find), .attempt = find.Int(2)};
}

absl::Status Keepsakes::MoveState(int64_t from, int64_t to) {
  return connection_.Prepare("UPDATE kept_state SET job = ?2 WHERE job = ?1")
      .Bind(1, from)
      .Bind(2, to)
      .Run();
}

absl::Status Keepsakes::DropState(int64_t job) {
  Statement& drop =
      connection_.Prepare("DELETE FROM kept_state WHERE job = ? RETURNING sha256").Bind(1, job);
  std::vector<std::string> dropped;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, drop.Step());
    if (!found) break;
    dropped.emplace_back(drop.Text(0));
  }
  for (const std::string& sha256 : dropped) RETURN_IF_ERROR(Unneed(sha256).status());
  return absl::OkStatus();
}

absl::Status Keepsakes::SaveMemo(const std::string& tenant, const std::string& digest,
                                 const v1::Engine& engine, const v1::Blob& blob, absl::Time now) {
  RETURN_IF_ERROR(RequireBlob(digest, blob));
  RETURN_IF_ERROR(
      connection_
          .Prepare("INSERT OR REPLACE INTO memo (tenant, digest, engine, sha256, size, used) "
                   "VALUES (?, ?, ?, ?, ?, ?)")
          .Bind(1, tenant)
          .Bind(2, digest)
          .Bind(3, DigestOf(engine))
          .Bind(4, blob.sha256())
          .Bind(5, blob.size())
          .Bind(6, absl::ToUnixSeconds(now))
          .Run());
  return connection_
      .Prepare(
          "DELETE FROM memo WHERE (tenant, digest, engine) IN (SELECT tenant, digest, engine "
          "FROM memo WHERE tenant = ?1 ORDER BY used DESC LIMIT -1 OFFSET ?2)")
      .Bind(1, tenant)
      .Bind(2, kMemosPerTenantMax)
      .Run();
}

absl::StatusOr<std::optional<v1::Blob>> Keepsakes::LoadMemo(const std::string& tenant,
                                                            const std::string& digest,
                                                            const v1::Engine& engine,
                                                            absl::Time now) {
  const std::string by = DigestOf(engine);
  Statement& find =
      connection_
          .Prepare(
              "SELECT sha256, size, used FROM memo WHERE tenant = ? AND digest = ? AND engine = ?")
          .Bind(1, tenant)
          .Bind(2, digest)
          .Bind(3, by);
  ASSIGN_OR_RETURN(const bool found, find.Step());
  if (!found) return std::nullopt;
  v1::Blob blob = BlobOf(find);
  if (now - absl::FromUnixSeconds(find.Int(2)) < kMemoUseGrain) return blob;
  RETURN_IF_ERROR(
      connection_.Prepare("UPDATE memo SET used = ? WHERE tenant = ? AND digest = ? AND engine = ?")
          .Bind(1, absl::ToUnixSeconds(now))
          .Bind(2, tenant)
          .Bind(3, digest)
          .Bind(4, by)
          .Run());
  return blob;
}

absl::StatusOr<int64_t> Keepsakes::CountMemosUnusedSince(absl::Time time) {
  Statement& count = connection_.Prepare("SELECT count(*) FROM memo WHERE used < ?")
                         .Bind(1, absl::ToUnixSeconds(time));
  ASSIGN_OR_RETURN([[maybe_unused]] const bool counted, count.Step());
  return count.Int(0);
}

absl::Status Keepsakes::DropMemosUnusedSince(absl::Time time) {
  return connection_.Prepare("DELETE FROM memo WHERE used < ?")
      .Bind(1, absl::ToUnixSeconds(time))
      .Run();
}

}  // namespace radiograph
