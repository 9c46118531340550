#include "server/store/job_store.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/job_rows.h"
#include "server/store/messages.h"

namespace radiograph {

void JobStore::Transact(Body body, Done done) {
  auto changes = std::make_shared<std::vector<JobChange>>();
  database_->Submit(
      [changes, body = std::move(body)](Connection& connection) {
        JobTransaction transaction(&connection);
        RETURN_IF_ERROR(body(transaction));
        *changes = std::move(transaction.changes());
        return absl::OkStatus();
      },
      [changes, done = std::move(done)](absl::Status status) {
        if (!status.ok()) return done(std::move(status));
        done(std::move(*changes));
      });
}

absl::Status JobStore::Read(absl::FunctionRef<absl::Status(JobTransaction&)> body) {
  return database_->Read([&](Connection& connection) {
    JobTransaction transaction(&connection);
    return body(transaction);
  });
}

absl::StatusOr<JobRow> JobStore::Get(const JobKey& key) {
  absl::StatusOr<JobRow> row;
  RETURN_IF_ERROR(Read([&](JobTransaction& transaction) {
    row = transaction.Get(key);
    return row.status();
  }));
  return row;
}

absl::StatusOr<std::string> JobStore::RequestText(const JobRow& row) {
  absl::StatusOr<std::string> text;
  RETURN_IF_ERROR(Read([&](JobTransaction& transaction) {
    text = transaction.RequestText(row);
    return text.status();
  }));
  return text;
}

absl::StatusOr<std::optional<JobRow>> JobStore::FindRequest(const std::string& tenant,
                                                            const std::string& request_id) {
  absl::StatusOr<std::optional<JobRow>> row;
  RETURN_IF_ERROR(Read([&](JobTransaction& transaction) {
    row = transaction.FindRequest(tenant, request_id);
    return row.status();
  }));
  return row;
}

absl::Status JobStore::ForEach(v1::JobState state, absl::FunctionRef<void(JobRow)> use) {
  return database_->Read([&](Connection& connection) -> absl::Status {
    Statement& rows =
        connection
            .Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS " FROM job WHERE state = ? ORDER BY sequence")
            .Bind(1, state);
    while (true) {
      ASSIGN_OR_RETURN(std::optional<JobRow> row, NextJobRow(rows));
      if (!row) return absl::OkStatus();
      use(*std::move(row));
    }
  });
}

absl::StatusOr<std::vector<v1::JobEvent>> JobStore::Events(const JobKey& key,
                                                           int64_t after_sequence, int64_t limit) {
  std::vector<v1::JobEvent> events;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& rows =
        connection
            .Prepare(
                "SELECT record FROM event WHERE job = (SELECT sequence FROM job WHERE id = ?1 "
                "AND tenant = ?4) AND sequence > ?2 ORDER BY sequence LIMIT ?3")
            .Bind(1, key.id)
            .Bind(2, after_sequence)
            .Bind(3, limit)
            .Bind(4, key.tenant);
    while (true) {
      ASSIGN_OR_RETURN(bool found, rows.Step());
      if (!found) return absl::OkStatus();
      RETURN_IF_ERROR(ParseRecord(rows.Blob(0), events.emplace_back()));
    }
  }));
  return events;
}

absl::StatusOr<JobStore::Counts> JobStore::Count() {
  Counts counts;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& rows =
        connection.Prepare("SELECT tenant, state, count(*) FROM job GROUP BY tenant, state");
    while (true) {
      ASSIGN_OR_RETURN(bool found, rows.Step());
      if (!found) return absl::OkStatus();
      counts[{std::string(rows.Text(0)), static_cast<v1::JobState>(rows.Int(1))}] = rows.Int(2);
    }
  }));
  return counts;
}

absl::StatusOr<absl::Time> JobStore::OldestQueued() {
  absl::Time oldest = absl::InfiniteFuture();
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& find = connection.Prepare("SELECT " RADIOGRAPH_JOB_COLUMNS
                                         " FROM job WHERE state = 1 ORDER BY sequence LIMIT 1");
    ASSIGN_OR_RETURN(std::optional<JobRow> row, NextJobRow(find));
    if (row) oldest = FromTimestamp(row->job.create_time());
    return absl::OkStatus();
  }));
  return oldest;
}

}  // namespace radiograph
