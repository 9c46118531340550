#include "server/store/job_store.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/job_rows.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

absl::StatusOr<JobHead> HeadOf(Connection& connection, const JobKey& key) {
  Statement& find =
      connection.Prepare("SELECT sequence, state, events FROM job WHERE id = ? AND tenant = ?")
          .Bind(1, key.id)
          .Bind(2, key.tenant);
  ASSIGN_OR_RETURN(bool found, find.Step());
  if (!found) return NoSuchJob(key.id);
  return JobHead{.sequence = find.Int(0),
                 .state = static_cast<v1::JobState>(find.Int(1)),
                 .events = find.Int(2)};
}

}  // namespace

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

absl::StatusOr<JobHead> JobStore::Head(const JobKey& key) {
  absl::StatusOr<JobHead> head;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) {
    head = HeadOf(connection, key);
    return head.status();
  }));
  return head;
}

absl::StatusOr<JobStore::EventPage> JobStore::Events(const JobKey& key, int64_t after_sequence,
                                                     int64_t limit) {
  EventPage page;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    ASSIGN_OR_RETURN(page.head, HeadOf(connection, key));
    Statement& rows = connection
                          .Prepare(
                              "SELECT record FROM event WHERE job = ? AND sequence > ? "
                              "ORDER BY sequence LIMIT ?")
                          .Bind(1, page.head.sequence)
                          .Bind(2, after_sequence)
                          .Bind(3, limit);
    while (true) {
      ASSIGN_OR_RETURN(bool found, rows.Step());
      if (!found) return absl::OkStatus();
      RETURN_IF_ERROR(ParseRecord(rows.Blob(0), page.events.emplace_back()));
    }
  }));
  return page;
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
