#include "server/store/needs.h"

#include <array>
#include <optional>

#include "absl/strings/numbers.h"
#include "core/base/status_macros.h"
#include "server/store/job_rows.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

// Tables that name blobs in a column: tenant and sha256, each row one that is needed. Artifacts and
// jobs name theirs in their records. (Aliases name versions, and series are versions: these are
// kept until somebody deletes them.)
constexpr std::array kNamingBlobs = {
    "SELECT '*', sha256 FROM kept_state",  // uploaded by workers
    "SELECT '*', sha256 FROM memo",
};

absl::Status ReadArtifacts(Connection& connection, Needs& needs) {
  Statement& rows = connection.Prepare("SELECT tenant, record FROM artifact");
  while (true) {
    ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return absl::OkStatus();
    const std::string tenant(rows.Text(0));
    v1::Artifact artifact;
    RETURN_IF_ERROR(ParseRecord(rows.Blob(1), artifact));
    for (const v1::ArtifactFile& file : artifact.files()) needs.Add(tenant, file.blob().sha256());
  }
}

absl::Status ReadJobs(Connection& connection,
                      absl::FunctionRef<absl::StatusOr<bool>(const JobRow&)> keeps_job,
                      Needs& needs) {
  Statement& rows =
      connection.Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS " FROM job ORDER BY sequence DESC");
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<JobRow> row, NextJobRow(rows));
    if (!row) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool kept, keeps_job(*row));
    if (!kept) continue;
    ForEachBlob(row->job, [&](const v1::ArtifactFile& file) {
      needs.Add(row->job.tenant(), file.blob().sha256());
    });
  }
}

absl::Status ReadNames(Connection& connection, const char* sql, Needs& needs) {
  Statement& rows = connection.Prepare(sql);
  while (true) {
    ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return absl::OkStatus();
    needs.Add(std::string(rows.Text(0)), rows.Text(1));
  }
}

}  // namespace

Needs::Key Needs::KeyOf(absl::string_view sha256, int32_t tenant) {
  uint64_t first = 0, second = 0;
  (void)absl::SimpleHexAtoi(sha256.substr(0, 16), &first);  // digits: it is a digest
  (void)absl::SimpleHexAtoi(sha256.substr(16, 16), &second);
  return {first, second, tenant};
}

void Needs::Add(const std::string& tenant, absl::string_view sha256) {
  const int32_t number =
      tenants_.try_emplace(tenant, static_cast<int32_t>(tenants_.size())).first->second;
  keys_.insert(KeyOf(sha256, number));
}

bool Needs::Has(const std::string& tenant, absl::string_view sha256) const {
  const auto found = tenants_.find(tenant);
  return found != tenants_.end() && keys_.contains(KeyOf(sha256, found->second));
}

bool Needs::AnyHas(absl::string_view sha256) const {
  for (const auto& [tenant, number] : tenants_) {
    if (keys_.contains(KeyOf(sha256, number))) return true;
  }
  return false;
}

void ForEachBlob(const v1::Job& job, absl::FunctionRef<void(const v1::ArtifactFile&)> use) {
  for (const auto& [name, input] : job.inputs()) {
    for (const v1::Artifact& artifact : input.artifacts()) {
      for (const v1::ArtifactFile& file : artifact.files()) use(file);
    }
  }
  for (const v1::ArtifactFile& file : job.result()) use(file);
}

absl::Status ReadNeeds(Connection& connection,
                       absl::FunctionRef<absl::StatusOr<bool>(const JobRow&)> keeps_job,
                       Needs& needs) {
  RETURN_IF_ERROR(ReadArtifacts(connection, needs));
  RETURN_IF_ERROR(ReadJobs(connection, keeps_job, needs));
  for (const char* sql : kNamingBlobs) RETURN_IF_ERROR(ReadNames(connection, sql, needs));
  return absl::OkStatus();
}

}  // namespace radiograph
