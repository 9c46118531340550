// The rows of jobs, as the writer's thread reads and writes them.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/job_columns.h"
#include "server/store/job_rows.h"
#include "server/store/job_store.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

// Planned seconds are kept in nanoseconds: the columns are integers.
constexpr double kNanoseconds = 1e9;

absl::Status InsertEvent(Connection& connection, JobRow& row, v1::JobEvent event) {
  event.set_sequence(++row.events);
  return connection.Prepare("INSERT INTO event (job, sequence, record) VALUES (?, ?, ?)")
      .Bind(1, row.sequence)
      .Bind(2, event.sequence())
      .BindBlob(3, event.SerializeAsString())
      .Run();
}

absl::Status WriteRow(Connection& connection, const JobRow& row) {
  return connection
      .Prepare(
          "UPDATE job SET state = ?, lease_token = ?, embedded = ?, events = ?, merged_into = ?, "
          "end_time = ?, record = ? WHERE sequence = ?")
      .Bind(1, row.job.state())
      .Bind(2, row.lease_token)
      .Bind(3, row.embedded)
      .Bind(4, row.events)
      .Bind(5, row.job.merged_into())
      .Bind(6, NanosOf(row.job.end_time()))
      .BindBlob(7, row.job.SerializeAsString())
      .Bind(8, row.sequence)
      .Run();
}

absl::Status InsertRow(Connection& connection, const JobRow& row) {
  return connection
      .Prepare(
          "INSERT INTO job (id, tenant, state, analysis, version, device_kind, memory, "
          "planned_seconds, request_id, request_digest, cache_key, merged_into, lease_token, "
          "embedded, events, create_time, end_time, record) "
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0, ?, ?, ?)")
      .Bind(1, row.job.id())
      .Bind(2, row.job.tenant())
      .Bind(3, row.job.state())
      .Bind(4, row.job.analysis())
      .Bind(5, row.job.analysis_version())
      .Bind(6, row.job.device_kind())
      .Bind(7, row.memory_bytes)
      .Bind(8, static_cast<int64_t>(row.planned_seconds * kNanoseconds))
      .Bind(9, row.job.request_id())
      .Bind(10, row.request_digest)
      .Bind(11, row.cacheable)
      .Bind(12, row.job.merged_into())
      .Bind(13, NanosOf(row.job.create_time()))
      .Bind(14, NanosOf(row.job.end_time()))
      .BindBlob(15, row.job.SerializeAsString())
      .Run();
}

}  // namespace

absl::Status NoSuchJob(absl::string_view id) {
  return absl::NotFoundError(absl::StrCat("there is no job '", id.substr(0, 80), "'"));
}

absl::StatusOr<JobRow> ReadJobRow(const Statement& statement) {
  JobRow row;
  row.sequence = statement.Int(0);
  row.memory_bytes = statement.Int(1);
  row.planned_seconds = static_cast<double>(statement.Int(2)) / kNanoseconds;
  row.cacheable = std::string(statement.Text(3));
  row.request_digest = std::string(statement.Text(4));
  row.lease_token = std::string(statement.Text(5));
  row.embedded = statement.Int(6) != 0;
  row.events = statement.Int(7);
  RETURN_IF_ERROR(ParseRecord(statement.Blob(8), row.job));
  row.job.set_tenant(std::string(statement.Text(9)));
  return row;
}

absl::StatusOr<std::optional<JobRow>> NextJobRow(Statement& statement) {
  ASSIGN_OR_RETURN(bool found, statement.Step());
  if (!found) return std::nullopt;
  ASSIGN_OR_RETURN(JobRow row, ReadJobRow(statement));
  return row;
}

absl::StatusOr<std::vector<JobRow>> JobTransaction::ReadAll(Statement& statement) {
  std::vector<JobRow> rows;
  while (true) {
    ASSIGN_OR_RETURN(std::optional<JobRow> row, NextJobRow(statement));
    if (!row) return rows;
    before_[row->sequence] = row->job.state();
    rows.push_back(*std::move(row));
  }
}

absl::StatusOr<JobRow> JobTransaction::Get(const std::string& id) {
  ASSIGN_OR_RETURN(
      auto rows,
      ReadAll(connection_.Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS " FROM job WHERE id = ?")
                  .Bind(1, id)));
  if (rows.empty()) return NoSuchJob(id);
  return std::move(rows.front());
}

absl::StatusOr<JobRow> JobTransaction::Get(const JobKey& key) {
  ASSIGN_OR_RETURN(JobRow row, Get(key.id));
  if (row.job.tenant() != key.tenant) return NoSuchJob(key.id);
  return row;
}

absl::StatusOr<JobRow> JobTransaction::GetLeased(const std::string& lease_token) {
  ASSIGN_OR_RETURN(auto rows, ReadAll(connection_
                                          .Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS
                                                   " FROM job WHERE state = 2 AND lease_token = ?")
                                          .Bind(1, lease_token)));
  if (rows.empty()) return absl::AbortedError("the lease is no longer this slot's");
  return std::move(rows.front());
}

absl::StatusOr<std::optional<JobRow>> JobTransaction::FindRequest(const std::string& tenant,
                                                                  const std::string& request_id) {
  ASSIGN_OR_RETURN(
      auto rows,
      ReadAll(connection_
                  .Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS
                           " FROM job WHERE tenant = ? AND request_id = ? AND request_id <> ''")
                  .Bind(1, tenant)
                  .Bind(2, request_id)));
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

absl::StatusOr<std::optional<JobRow>> JobTransaction::FindInFlight(const std::string& tenant,
                                                                   const std::string& cache_key) {
  ASSIGN_OR_RETURN(
      auto rows,
      ReadAll(connection_
                  .Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS
                           " FROM job WHERE state IN (1, 2) AND tenant = ? AND cache_key = ? "
                           "AND cache_key <> '' AND merged_into = '' ORDER BY sequence LIMIT 1")
                  .Bind(1, tenant)
                  .Bind(2, cache_key)));
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

absl::StatusOr<std::vector<JobRow>> JobTransaction::FindCached(const std::string& tenant,
                                                               const std::string& cache_key,
                                                               int64_t limit) {
  return ReadAll(connection_
                     .Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS
                              " FROM job WHERE state = 3 AND tenant = ? AND cache_key = ? "
                              "AND cache_key <> '' ORDER BY sequence DESC LIMIT ?")
                     .Bind(1, tenant)
                     .Bind(2, cache_key)
                     .Bind(3, limit));
}

absl::StatusOr<std::vector<JobRow>> JobTransaction::MergedInto(const std::string& id) {
  return ReadAll(connection_
                     .Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS
                              " FROM job WHERE merged_into = ? AND merged_into <> '' "
                              "AND state = 1 ORDER BY sequence")
                     .Bind(1, id));
}

absl::StatusOr<std::string> JobTransaction::RequestText(const JobRow& row) {
  Statement& find =
      connection_.Prepare("SELECT text FROM job_request_text WHERE job = ?").Bind(1, row.sequence);
  ASSIGN_OR_RETURN(bool found, find.Step());
  if (!found) {
    return absl::InternalError(absl::StrCat("database: job ", row.job.id(), " has no request"));
  }
  return std::string(find.Text(0));
}

absl::Status JobTransaction::Insert(JobRow row, v1::JobEvent event, const std::string& request) {
  for (const auto& [name, input] : row.job.inputs()) {
    for (const v1::Artifact& artifact : input.artifacts()) {
      RETURN_IF_ERROR(RequireBlobs(connection_, row.job.tenant(), artifact.files()));
    }
  }
  RETURN_IF_ERROR(RequireBlobs(connection_, row.job.tenant(), row.job.result()));
  row.events = 0;
  RETURN_IF_ERROR(InsertRow(connection_, row));
  row.sequence = connection_.last_row();
  RETURN_IF_ERROR(InsertLabels(connection_, row.job, row.sequence));
  RETURN_IF_ERROR(InsertEvent(connection_, row, std::move(event)));
  RETURN_IF_ERROR(WriteRow(connection_, row));
  RETURN_IF_ERROR(connection_.Prepare("INSERT INTO job_request_text (job, text) VALUES (?, ?)")
                      .Bind(1, row.sequence)
                      .Bind(2, request)
                      .Run());
  before_[row.sequence] = row.job.state();
  changes_.push_back({std::move(row), v1::JOB_STATE_UNSPECIFIED});
  return absl::OkStatus();
}

absl::Status JobTransaction::Put(JobRow row, v1::JobEvent event) {
  v1::JobState& before = before_.at(row.sequence);
  if (row.job.state() == v1::SUCCEEDED && before != v1::SUCCEEDED) {
    // A worker has uploaded it, for the job's tenant.
    RETURN_IF_ERROR(RequireBlobs(connection_, kEveryTenant, row.job.result()));
    RETURN_IF_ERROR(GiveBlobs(connection_, row.job.tenant(), row.job.result()));
  }
  if (event.has_time()) RETURN_IF_ERROR(InsertEvent(connection_, row, std::move(event)));
  RETURN_IF_ERROR(WriteRow(connection_, row));
  if (row.job.has_end_time()) RETURN_IF_ERROR(keepsakes().DropState(row.sequence));
  changes_.push_back({row, before});
  before = row.job.state();
  return absl::OkStatus();
}

absl::Status JobTransaction::Delete(const JobRow& row) {
  RETURN_IF_ERROR(DeleteLabels(connection_, row.job, row.sequence));
  for (const char* sql :
       {"DELETE FROM event WHERE job = ?", "DELETE FROM job_request_text WHERE job = ?",
        "DELETE FROM job WHERE sequence = ?"}) {
    RETURN_IF_ERROR(connection_.Prepare(sql).Bind(1, row.sequence).Run());
  }
  return absl::OkStatus();
}

}  // namespace radiograph
