#include "server/store/alias_rows.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/names.h"
#include "core/base/nearest_names.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

constexpr char kMustBeNew[] = "-";  // as an etag

std::string RefOf(const v1::Alias& alias) { return absl::StrCat(alias.name(), ":", alias.alias()); }

// The compare of the compare-and-set.
absl::Status CheckEtag(const std::string& ref, const std::optional<v1::Alias>& now,
                       const std::string& etag) {
  if (etag.empty()) return absl::OkStatus();
  if (!now.has_value()) {
    if (etag == kMustBeNew) return absl::OkStatus();
    return absl::AbortedError(absl::StrCat(ref, " is not there, so its etag is not ", etag));
  }
  if (etag == now->etag()) return absl::OkStatus();
  const std::string is =
      absl::StrCat(ref, " points at version ", now->version(), ", with etag ", now->etag());
  return absl::AbortedError(etag == kMustBeNew ? absl::StrCat(is, "; it was to be new")
                                               : absl::StrCat(is, ", not ", etag));
}

absl::StatusOr<int64_t> CountAliases(Connection& connection, const std::string& tenant,
                                     absl::string_view name) {
  Statement& count =
      connection.Prepare("SELECT count(*) FROM artifact_alias WHERE tenant = ? AND name = ?")
          .Bind(1, tenant)
          .Bind(2, name);
  RETURN_IF_ERROR(count.Step().status());
  return count.Int(0);
}

absl::StatusOr<v1::Alias> RemoveAlias(Connection& connection, const std::string& tenant,
                                      const v1::Artifact& from, const std::string& ref,
                                      std::optional<v1::Alias> alias) {
  if (!alias.has_value()) return absl::NotFoundError(absl::StrCat("there is no alias ", ref));
  if (alias->version() != from.version()) {
    return absl::FailedPreconditionError(
        absl::StrCat(ref, " points at version ", alias->version(), ", not at ", from.version()));
  }
  RETURN_IF_ERROR(
      connection.Prepare("DELETE FROM artifact_alias WHERE tenant = ? AND name = ? AND alias = ?")
          .Bind(1, tenant)
          .Bind(2, alias->name())
          .Bind(3, alias->alias())
          .Run());
  return *std::move(alias);
}

}  // namespace

absl::Status CheckAlias(absl::string_view alias) {
  if (!alias.empty() && alias.size() <= kAliasBytesMax && absl::ascii_islower(alias[0]) &&
      std::all_of(alias.begin(), alias.end(), [](char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-';
      })) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", Shown(alias), "' is no alias: 1..64 of [a-z0-9_-], the first a letter"));
}

absl::StatusOr<std::optional<v1::Alias>> FindAlias(Connection& connection,
                                                   const std::string& tenant,
                                                   absl::string_view name,
                                                   absl::string_view alias) {
  Statement& find = connection
                        .Prepare(
                            "SELECT record FROM artifact_alias WHERE tenant = ? AND name = ? "
                            "AND alias = ?")
                        .Bind(1, tenant)
                        .Bind(2, name)
                        .Bind(3, alias);
  ASSIGN_OR_RETURN(const bool found, find.Step());
  if (!found) return std::nullopt;
  v1::Alias record;
  RETURN_IF_ERROR(ParseRecord(find.Blob(0), record));
  return record;
}

absl::Status AliasNotFound(Connection& connection, const std::string& tenant,
                           absl::string_view name, absl::string_view alias) {
  Statement& rows =
      connection.Prepare("SELECT alias FROM artifact_alias WHERE tenant = ? AND name = ?")
          .Bind(1, tenant)
          .Bind(2, name);
  std::vector<std::string> aliases;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) break;
    aliases.emplace_back(rows.Text(0));
  }
  const std::string missing = absl::StrCat("there is no artifact ", name, ":", alias);
  const std::string lead = absl::StrCat("; the nearest aliases of ", name, " are ");
  return absl::NotFoundError(absl::StrCat(missing, NearestText(lead, alias, aliases)));
}

absl::Status AddAliases(Connection& connection, const std::string& tenant, v1::Artifact& artifact) {
  Statement& rows = connection
                        .Prepare(
                            "SELECT record FROM artifact_alias WHERE tenant = ? AND name = ? "
                            "AND version = ? ORDER BY alias")
                        .Bind(1, tenant)
                        .Bind(2, artifact.name())
                        .Bind(3, artifact.version());
  while (true) {
    ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return absl::OkStatus();
    RETURN_IF_ERROR(ParseRecord(rows.Blob(0), *artifact.add_aliases()));
  }
}

absl::StatusOr<v1::Alias> MoveAlias(Connection& connection, const std::string& tenant,
                                    const v1::Artifact& to, const v1::SetAliasRequest& request,
                                    absl::Time now) {
  ASSIGN_OR_RETURN(std::optional<v1::Alias> before,
                   FindAlias(connection, tenant, to.name(), request.alias()));
  v1::Alias alias;
  alias.set_name(to.name());
  alias.set_alias(request.alias());
  const std::string ref = RefOf(alias);
  RETURN_IF_ERROR(CheckEtag(ref, before, request.etag()));
  if (request.remove()) return RemoveAlias(connection, tenant, to, ref, std::move(before));
  if (!before.has_value()) {
    ASSIGN_OR_RETURN(const int64_t count, CountAliases(connection, tenant, to.name()));
    if (count >= kAliasesMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat(to.name(), " has ", count, " aliases; at most ", kAliasesMax, " are kept"));
    }
  }
  alias.set_version(to.version());
  alias.set_etag(RandomHex(8));  // an alias that was away and came back has another
  *alias.mutable_update_time() = ToTimestamp(now);
  RETURN_IF_ERROR(
      connection
          .Prepare("INSERT OR REPLACE INTO artifact_alias (tenant, name, alias, version, "
                   "record) VALUES (?, ?, ?, ?, ?)")
          .Bind(1, tenant)
          .Bind(2, alias.name())
          .Bind(3, alias.alias())
          .Bind(4, alias.version())
          .BindBlob(5, alias.SerializeAsString())
          .Run());
  return alias;
}

}  // namespace radiograph
