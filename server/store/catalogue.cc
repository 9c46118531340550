#include "server/store/catalogue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/names.h"
#include "core/base/status_macros.h"
#include "server/store/alias_rows.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

constexpr absl::string_view kJobOutputs = "job";  // job:ID/OUTPUT

// What makes two versions of a name the same: all that the caller gave. The order of the files is
// not part of it.
std::string ContentDigest(const v1::Artifact& artifact) {
  v1::Artifact content;
  content.set_kind(artifact.kind());
  *content.mutable_labels() = artifact.labels();
  *content.mutable_roles() = artifact.roles();
  *content.mutable_files() = artifact.files();
  std::sort(
      content.mutable_files()->begin(), content.mutable_files()->end(),
      [](const v1::ArtifactFile& a, const v1::ArtifactFile& b) { return a.name() < b.name(); });
  return Sha256Hex(DeterministicBytes(content));
}

absl::StatusOr<bool> FindSame(Connection& connection, const std::string& tenant,
                              absl::string_view content, v1::Artifact& artifact) {
  Statement& find =
      connection
          .Prepare(
              "SELECT record FROM artifact WHERE tenant = ? AND name = ? AND content = ? "
              "ORDER BY version DESC LIMIT 1")
          .Bind(1, tenant)
          .Bind(2, artifact.name())
          .Bind(3, content);
  ASSIGN_OR_RETURN(bool found, find.Step());
  if (found) RETURN_IF_ERROR(ParseRecord(find.Blob(0), artifact));
  return found;
}

absl::StatusOr<int64_t> NextVersion(Connection& connection, const std::string& tenant,
                                    absl::string_view name) {
  Statement& next = connection.Prepare(
      "INSERT INTO artifact_name (tenant, name, last_version) VALUES (?, ?, 1) "
      "ON CONFLICT (tenant, name) DO UPDATE SET last_version = last_version + 1 RETURNING "
      "last_version");
  ASSIGN_OR_RETURN(bool found, next.Bind(1, tenant).Bind(2, name).Step());
  if (!found) return absl::InternalError("database: no version was given");
  int64_t version = next.Int(0);
  RETURN_IF_ERROR(next.Run());
  return version;
}

absl::Status InsertArtifact(Connection& connection, const std::string& tenant,
                            const v1::Artifact& artifact, absl::string_view content) {
  return connection
      .Prepare(
          "INSERT INTO artifact (tenant, name, version, kind, content, record) VALUES (?, ?, ?, ?, "
          "?, ?)")
      .Bind(1, tenant)
      .Bind(2, artifact.name())
      .Bind(3, artifact.version())
      .Bind(4, artifact.kind())
      .Bind(5, content)
      .BindBlob(6, artifact.SerializeAsString())
      .Run();
}

// The version that an alias points at.
absl::Status ResolveAlias(Connection& connection, const std::string& tenant, ArtifactRef& ref) {
  if (ref.alias.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::optional<v1::Alias> alias,
                   FindAlias(connection, tenant, ref.name, ref.alias));
  if (!alias.has_value()) return AliasNotFound(connection, tenant, ref.name, ref.alias);
  ref.version = alias->version();
  return absl::OkStatus();
}

absl::StatusOr<v1::Artifact> FindArtifact(Connection& connection, const std::string& tenant,
                                          ArtifactRef ref) {
  RETURN_IF_ERROR(ResolveAlias(connection, tenant, ref));
  Statement& find = connection
                        .Prepare(
                            "SELECT record FROM artifact WHERE tenant = ?3 AND name = ?1 "
                            "AND (?2 = 0 OR version = ?2) "
                            "ORDER BY version DESC LIMIT 1")
                        .Bind(1, ref.name)
                        .Bind(2, ref.version)
                        .Bind(3, tenant);
  ASSIGN_OR_RETURN(bool found, find.Step());
  if (!found) {
    return absl::NotFoundError(absl::StrCat(
        "there is no artifact ", ref.name, ref.version == 0 ? "" : absl::StrCat("@", ref.version)));
  }
  v1::Artifact artifact;
  RETURN_IF_ERROR(ParseRecord(find.Blob(0), artifact));
  RETURN_IF_ERROR(AddAliases(connection, tenant, artifact));
  return artifact;
}

}  // namespace

absl::StatusOr<ArtifactRef> ParseArtifactRef(absl::string_view text) {
  ArtifactRef ref;
  const size_t at = text.find_first_of("@:");
  ASSIGN_OR_RETURN(ref.name, ParseName(text.substr(0, at)));
  if (at == absl::string_view::npos) return ref;
  if (text[at] == ':') {
    ref.alias = std::string(text.substr(at + 1));
    RETURN_IF_ERROR(CheckAlias(ref.alias));
    return ref;
  }
  if (!absl::SimpleAtoi(text.substr(at + 1), &ref.version) || ref.version < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", Shown(text),
        "' is no reference: NAME, NAME@VERSION or NAME:ALIAS, versions are 1, 2, ..."));
  }
  return ref;
}

absl::StatusOr<v1::Artifact> Catalogue::Create(const std::string& tenant, v1::Artifact artifact) {
  ASSIGN_OR_RETURN(*artifact.mutable_name(), ParseName(artifact.name()));
  RETURN_IF_ERROR(CheckNewName(artifact.name()));
  const std::string content = ContentDigest(artifact);
  RETURN_IF_ERROR(database_->Write([&](Connection& connection) -> absl::Status {
    ASSIGN_OR_RETURN(bool found, FindSame(connection, tenant, content, artifact));
    if (found) return AddAliases(connection, tenant, artifact);
    RETURN_IF_ERROR(RequireBlobs(connection, tenant, artifact.files()));
    ASSIGN_OR_RETURN(int64_t version, NextVersion(connection, tenant, artifact.name()));
    artifact.set_version(version);
    *artifact.mutable_create_time() = ToTimestamp(clock_->Now());
    artifact.set_etag(absl::StrCat(version, "-", content.substr(0, 16)));
    artifact.set_size(0);
    for (const v1::ArtifactFile& file : artifact.files()) {
      artifact.set_size(artifact.size() + file.blob().size());
    }
    return InsertArtifact(connection, tenant, artifact, content);
  }));
  return artifact;
}

absl::StatusOr<v1::Artifact> Catalogue::Get(const std::string& tenant, absl::string_view text) {
  ASSIGN_OR_RETURN(ArtifactRef ref, ParseArtifactRef(text));
  absl::StatusOr<v1::Artifact> artifact;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) {
    artifact = FindArtifact(connection, tenant, ref);
    return artifact.status();
  }));
  return artifact;
}

absl::Status Catalogue::Delete(const std::string& tenant, absl::string_view text,
                               absl::string_view etag) {
  ASSIGN_OR_RETURN(ArtifactRef ref, ParseArtifactRef(text));
  if (ref.version == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' names no version; say which: NAME@VERSION"));
  }
  return database_->Write([&](Connection& connection) -> absl::Status {
    ASSIGN_OR_RETURN(v1::Artifact artifact, FindArtifact(connection, tenant, ref));
    if (!etag.empty() && etag != artifact.etag()) {
      return absl::AbortedError(
          absl::StrCat("etag of ", text, " is ", artifact.etag(), ", not ", etag));
    }
    if (artifact.aliases_size() > 0) {
      return absl::FailedPreconditionError(absl::StrCat("the alias ", artifact.aliases(0).alias(),
                                                        " points at ", text,
                                                        "; move or remove it first"));
    }
    return connection.Prepare("DELETE FROM artifact WHERE tenant = ? AND name = ? AND version = ?")
        .Bind(1, tenant)
        .Bind(2, ref.name)
        .Bind(3, ref.version)
        .Run();
  });
}

absl::StatusOr<v1::Alias> Catalogue::SetAlias(const std::string& tenant,
                                              const v1::SetAliasRequest& request) {
  ASSIGN_OR_RETURN(const ArtifactRef ref, ParseArtifactRef(request.ref()));
  RETURN_IF_ERROR(CheckAlias(request.alias()));
  if (ref.version == 0 && ref.alias.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", request.ref(), "' names no version; say which: NAME@VERSION"));
  }
  if (ref.name == kJobOutputs) {
    return absl::InvalidArgumentError(absl::StrCat("an artifact named ", ref.name,
                                                   " can't have aliases: ", ref.name,
                                                   ":... means an output of a job"));
  }
  v1::Alias alias;
  RETURN_IF_ERROR(database_->Write([&](Connection& connection) -> absl::Status {
    ASSIGN_OR_RETURN(const v1::Artifact artifact, FindArtifact(connection, tenant, ref));
    ASSIGN_OR_RETURN(alias, MoveAlias(connection, tenant, artifact, request, clock_->Now()));
    return absl::OkStatus();
  }));
  return alias;
}

}  // namespace radiograph
