#include "server/store/job_columns.h"

#include <string>

#include "core/base/status_macros.h"
#include "server/store/messages.h"

namespace radiograph {

int64_t NanosOf(const google::protobuf::Timestamp& time) {
  return absl::ToUnixNanos(FromTimestamp(time));
}

namespace {

// Runs `sql` with the columns of job_label for each label of the job.
absl::Status ForEachLabel(Connection& connection, const char* sql, const v1::Job& job,
                          int64_t sequence) {
  for (const auto& [key, value] : job.labels()) {
    RETURN_IF_ERROR(connection.Prepare(sql)
                        .Bind(1, job.tenant())
                        .Bind(2, key)
                        .Bind(3, value)
                        .Bind(4, NanosOf(job.create_time()))
                        .Bind(5, sequence)
                        .Run());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status InsertLabels(Connection& connection, const v1::Job& job, int64_t sequence) {
  return ForEachLabel(connection,
                      "INSERT INTO job_label (tenant, key, value, create_time, job) "
                      "VALUES (?, ?, ?, ?, ?)",
                      job, sequence);
}

absl::Status DeleteLabels(Connection& connection, const v1::Job& job, int64_t sequence) {
  return ForEachLabel(connection,
                      "DELETE FROM job_label WHERE tenant = ? AND key = ? AND value = ? "
                      "AND create_time = ? AND job = ?",
                      job, sequence);
}

absl::Status FillJobColumns(Connection& connection) {
  for (int64_t sequence = 0;;) {
    Statement& next = connection
                          .Prepare(
                              "SELECT sequence, tenant, record FROM job WHERE sequence > ? "
                              "ORDER BY sequence LIMIT 1")
                          .Bind(1, sequence);
    ASSIGN_OR_RETURN(const bool found, next.Step());
    if (!found) return absl::OkStatus();
    sequence = next.Int(0);
    v1::Job job;
    RETURN_IF_ERROR(ParseRecord(next.Blob(2), job));
    job.set_tenant(std::string(next.Text(1)));
    RETURN_IF_ERROR(
        connection.Prepare("UPDATE job SET create_time = ?, end_time = ? WHERE sequence = ?")
            .Bind(1, NanosOf(job.create_time()))
            .Bind(2, NanosOf(job.end_time()))
            .Bind(3, sequence)
            .Run());
    RETURN_IF_ERROR(InsertLabels(connection, job, sequence));
  }
}

}  // namespace radiograph
