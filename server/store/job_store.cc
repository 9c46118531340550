#include "server/store/job_store.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/messages.h"
#include "server/store/page.h"

namespace radiograph {
namespace {

#define JOB_COLUMNS \
  "sequence, memory, cache_key, request_digest, lease_token, embedded, events, record"

absl::StatusOr<JobRow> ReadRow(const Statement& statement) {
  JobRow row;
  row.sequence = statement.Int(0);
  row.memory_bytes = statement.Int(1);
  row.cacheable = std::string(statement.Text(2));
  row.request_digest = std::string(statement.Text(3));
  row.lease_token = std::string(statement.Text(4));
  row.embedded = statement.Int(5) != 0;
  row.events = statement.Int(6);
  RETURN_IF_ERROR(ParseRecord(statement.Blob(7), row.job));
  return row;
}

absl::StatusOr<std::optional<JobRow>> ReadOne(Statement& statement) {
  ASSIGN_OR_RETURN(bool found, statement.Step());
  if (!found) return std::nullopt;
  ASSIGN_OR_RETURN(JobRow row, ReadRow(statement));
  return row;
}

absl::StatusOr<JobRow> FindJob(Connection& connection, const std::string& id) {
  Statement& find = connection.Prepare("SELECT " JOB_COLUMNS " FROM job WHERE id = ?").Bind(1, id);
  ASSIGN_OR_RETURN(std::optional<JobRow> row, ReadOne(find));
  if (!row) return absl::NotFoundError(absl::StrCat("there is no job '", id.substr(0, 80), "'"));
  return *std::move(row);
}

absl::StatusOr<std::optional<JobRow>> FindByRequest(Connection& connection,
                                                    const std::string& request_id) {
  return ReadOne(
      connection
          .Prepare("SELECT " JOB_COLUMNS " FROM job WHERE request_id = ? AND request_id <> ''")
          .Bind(1, request_id));
}

absl::Status InsertEvent(Connection& connection, JobRow& row, v1::JobEvent& event) {
  event.set_sequence(++row.events);
  return connection.Prepare("INSERT INTO event (job, sequence, record) VALUES (?, ?, ?)")
      .Bind(1, row.sequence)
      .Bind(2, event.sequence())
      .BindBlob(3, event.SerializeAsString())
      .Run();
}

absl::Status UpdateRow(Connection& connection, const JobRow& row) {
  return connection
      .Prepare(
          "UPDATE job SET state = ?, lease_token = ?, embedded = ?, events = ?, record = ? "
          "WHERE sequence = ?")
      .Bind(1, row.job.state())
      .Bind(2, row.lease_token)
      .Bind(3, row.embedded)
      .Bind(4, row.events)
      .BindBlob(5, row.job.SerializeAsString())
      .Bind(6, row.sequence)
      .Run();
}

absl::Status InsertRow(Connection& connection, JobRow& row, v1::JobEvent& event,
                       const std::string& request) {
  ++row.events;  // the first event comes with the row
  RETURN_IF_ERROR(
      connection
          .Prepare(
              "INSERT INTO job (id, state, analysis, version, device_kind, memory, request_id, "
              "request_digest, cache_key, lease_token, embedded, events, record) "
              "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, ?, ?)")
          .Bind(1, row.job.id())
          .Bind(2, row.job.state())
          .Bind(3, row.job.analysis())
          .Bind(4, row.job.analysis_version())
          .Bind(5, row.job.device_kind())
          .Bind(6, row.memory_bytes)
          .Bind(7, row.job.request_id())
          .Bind(8, row.request_digest)
          .Bind(9, row.cacheable)
          .Bind(10, row.events)
          .BindBlob(11, row.job.SerializeAsString())
          .Run());
  row.sequence = connection.last_row();
  --row.events;
  RETURN_IF_ERROR(InsertEvent(connection, row, event));
  return connection.Prepare("INSERT INTO job_request_text (job, text) VALUES (?, ?)")
      .Bind(1, row.sequence)
      .Bind(2, request)
      .Run();
}

// Lets `mutate` change the row, and stores what it made of it.
absl::Status Apply(Connection& connection, const JobStore::Mutate& mutate,
                   JobStore::Changed& changed) {
  changed.before = changed.row.job.state();
  const bool had_result = changed.row.job.result_size() > 0;
  v1::JobEvent event;
  RETURN_IF_ERROR(mutate(changed.row, event));
  if (!had_result) RETURN_IF_ERROR(RequireBlobs(connection, changed.row.job.result()));
  if (event.has_time()) RETURN_IF_ERROR(InsertEvent(connection, changed.row, event));
  return UpdateRow(connection, changed.row);
}

// The oldest job that fits, by number; 0 when there is none. The index has every column that it
// asks for.
absl::StatusOr<int64_t> OldestFitting(Connection& connection, const SlotOffer& offer) {
  int64_t oldest = 0;
  for (const v1::OfferedAnalysis& analysis : offer.analyses) {
    Statement& find =
        connection
            .Prepare(
                "SELECT sequence FROM job WHERE state = 1 AND analysis = ? AND version = ? "
                "AND device_kind IN ('', ?) AND memory <= ? ORDER BY sequence LIMIT 1")
            .Bind(1, analysis.name())
            .Bind(2, analysis.version())
            .Bind(3, offer.device_kind)
            .Bind(4, offer.memory_bytes);
    ASSIGN_OR_RETURN(bool found, find.Step());
    if (found && (oldest == 0 || find.Int(0) < oldest)) oldest = find.Int(0);
  }
  return oldest;
}

absl::Status ClaimOldest(Connection& connection, const SlotOffer& offer,
                         const JobStore::Mutate& mutate, JobStore::Changed& changed) {
  ASSIGN_OR_RETURN(int64_t sequence, OldestFitting(connection, offer));
  if (sequence == 0) return absl::NotFoundError("no queued job fits this slot");
  Statement& find =
      connection
          .Prepare("SELECT " JOB_COLUMNS
                   ", text FROM job JOIN job_request_text ON job = sequence WHERE sequence = ?")
          .Bind(1, sequence);
  ASSIGN_OR_RETURN(bool found, find.Step());
  if (!found)
    return absl::InternalError(absl::StrCat("database: job ", sequence, " has no request"));
  ASSIGN_OR_RETURN(changed.row, ReadRow(find));
  changed.request = std::string(find.Text(8));
  return Apply(connection, mutate, changed);
}

// Submits a body that fills a Changed, and hands that to `done`.
template <typename Body>
void SubmitChange(Database* database, Body body, JobStore::Done done) {
  auto changed = std::make_shared<JobStore::Changed>();
  database->Submit([changed, body = std::move(body)](
                       Connection& connection) mutable { return body(connection, *changed); },
                   [changed, done = std::move(done)](absl::Status status) {
                     if (!status.ok()) return done(std::move(status));
                     done(std::move(*changed));
                   });
}

}  // namespace

void JobStore::Insert(JobRow row, v1::JobEvent event, std::string request, Done done) {
  SubmitChange(
      database_,
      [row = std::move(row), event = std::move(event), request = std::move(request)](
          Connection& connection, Changed& changed) mutable -> absl::Status {
        ASSIGN_OR_RETURN(std::optional<JobRow> existing,
                         FindByRequest(connection, row.job.request_id()));
        if (existing) {
          changed.before = existing->job.state();
          changed.row = *std::move(existing);
          return absl::OkStatus();
        }
        RETURN_IF_ERROR(RequireBlobs(connection, row.job.result()));
        RETURN_IF_ERROR(InsertRow(connection, row, event, request));
        changed.row = std::move(row);
        return absl::OkStatus();
      },
      std::move(done));
}

void JobStore::Change(const std::string& id, Mutate mutate, Done done) {
  SubmitChange(
      database_,
      [id, mutate = std::move(mutate)](Connection& connection, Changed& changed) -> absl::Status {
        ASSIGN_OR_RETURN(changed.row, FindJob(connection, id));
        return Apply(connection, mutate, changed);
      },
      std::move(done));
}

void JobStore::Claim(SlotOffer offer, Mutate mutate, Done done) {
  SubmitChange(
      database_,
      [offer = std::move(offer), mutate = std::move(mutate)](Connection& connection,
                                                             Changed& changed) {
        return ClaimOldest(connection, offer, mutate, changed);
      },
      std::move(done));
}

absl::StatusOr<JobRow> JobStore::Get(const std::string& id) {
  absl::StatusOr<JobRow> row;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) {
    row = FindJob(connection, id);
    return row.status();
  }));
  return row;
}

absl::StatusOr<std::string> JobStore::RequestText(const std::string& id) {
  std::string text;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& find =
        connection
            .Prepare("SELECT text FROM job JOIN job_request_text ON job = sequence WHERE id = ?")
            .Bind(1, id);
    ASSIGN_OR_RETURN(bool found, find.Step());
    if (!found) return absl::NotFoundError(absl::StrCat("job ", id, " has no request"));
    text = std::string(find.Text(0));
    return absl::OkStatus();
  }));
  return text;
}

absl::StatusOr<std::optional<JobRow>> JobStore::FindRequest(const std::string& request_id) {
  absl::StatusOr<std::optional<JobRow>> row;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) {
    row = FindByRequest(connection, request_id);
    return row.status();
  }));
  return row;
}

absl::StatusOr<std::optional<v1::Job>> JobStore::FindCached(const std::string& cache_key,
                                                            const std::string& device_kind) {
  constexpr int kLookedAtMax =
      16;  // successes of the same work: one per kind of device, or refreshed ones
  std::optional<v1::Job> cached;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& rows = connection
                          .Prepare("SELECT " JOB_COLUMNS
                                   " FROM job WHERE state = 3 AND cache_key = ? "
                                   "AND cache_key <> '' ORDER BY sequence DESC")
                          .Bind(1, cache_key);
    for (int i = 0; i < kLookedAtMax && !cached; ++i) {
      ASSIGN_OR_RETURN(std::optional<JobRow> row, ReadOne(rows));
      if (!row) break;
      if (row->job.attempts().empty()) continue;
      const v1::Engine& engine = row->job.attempts().rbegin()->engine();
      if (device_kind.empty() || engine.device_kind() == device_kind) cached = std::move(row->job);
    }
    return absl::OkStatus();
  }));
  return cached;
}

absl::StatusOr<v1::ListJobsResponse> JobStore::List(const v1::ListJobsRequest& request,
                                                    absl::FunctionRef<void(JobRow&)> fill) {
  const std::string scope = absl::StrCat("jobs ", request.state());
  ASSIGN_OR_RETURN(int64_t size, PageSize(request.page_size()));
  ASSIGN_OR_RETURN(int64_t last, ParsePageToken(scope, request.page_token()));
  v1::ListJobsResponse response;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& rows =
        request.state() == v1::JOB_STATE_UNSPECIFIED
            ? connection.Prepare("SELECT " JOB_COLUMNS
                                 " FROM job WHERE sequence < ? ORDER BY sequence DESC")
            : connection.Prepare(
                  "SELECT " JOB_COLUMNS
                  " FROM job WHERE sequence < ? AND state = ? ORDER BY sequence DESC");
    rows.Bind(1, last);
    if (request.state() != v1::JOB_STATE_UNSPECIFIED) rows.Bind(2, request.state());
    for (size_t bytes = 0;;) {
      ASSIGN_OR_RETURN(std::optional<JobRow> row, ReadOne(rows));
      if (!row) return absl::OkStatus();
      if (response.jobs_size() == size || bytes >= kPageBytesMax) break;
      for (v1::Attempt& attempt : *row->job.mutable_attempts()) attempt.clear_stderr_tail();
      fill(*row);
      bytes += row->job.ByteSizeLong();
      last = row->sequence;
      *response.add_jobs() = std::move(row->job);
    }
    response.set_next_page_token(PageToken(scope, last));
    return absl::OkStatus();
  }));
  return response;
}

absl::Status JobStore::ForEach(v1::JobState state, absl::FunctionRef<void(JobRow)> use) {
  return database_->Read([&](Connection& connection) -> absl::Status {
    Statement& rows =
        connection.Prepare("SELECT " JOB_COLUMNS " FROM job WHERE state = ? ORDER BY sequence")
            .Bind(1, state);
    while (true) {
      ASSIGN_OR_RETURN(std::optional<JobRow> row, ReadOne(rows));
      if (!row) return absl::OkStatus();
      use(*std::move(row));
    }
  });
}

absl::StatusOr<std::vector<v1::JobEvent>> JobStore::Events(const std::string& id,
                                                           int64_t after_sequence, int64_t limit) {
  std::vector<v1::JobEvent> events;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& rows =
        connection
            .Prepare(
                "SELECT record FROM event WHERE job = (SELECT sequence FROM job WHERE id = ?) "
                "AND sequence > ? ORDER BY sequence LIMIT ?")
            .Bind(1, id)
            .Bind(2, after_sequence)
            .Bind(3, limit);
    while (true) {
      ASSIGN_OR_RETURN(bool found, rows.Step());
      if (!found) return absl::OkStatus();
      RETURN_IF_ERROR(ParseRecord(rows.Blob(0), events.emplace_back()));
    }
  }));
  return events;
}

absl::StatusOr<std::map<v1::JobState, int64_t>> JobStore::CountByState() {
  std::map<v1::JobState, int64_t> counts;
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& rows = connection.Prepare("SELECT state, count(*) FROM job GROUP BY state");
    while (true) {
      ASSIGN_OR_RETURN(bool found, rows.Step());
      if (!found) return absl::OkStatus();
      counts[static_cast<v1::JobState>(rows.Int(0))] = rows.Int(1);
    }
  }));
  return counts;
}

absl::StatusOr<absl::Time> JobStore::OldestQueued() {
  absl::Time oldest = absl::InfiniteFuture();
  RETURN_IF_ERROR(database_->Read([&](Connection& connection) -> absl::Status {
    Statement& find = connection.Prepare("SELECT " JOB_COLUMNS
                                         " FROM job WHERE state = 1 ORDER BY sequence LIMIT 1");
    ASSIGN_OR_RETURN(std::optional<JobRow> row, ReadOne(find));
    if (row) oldest = FromTimestamp(row->job.create_time());
    return absl::OkStatus();
  }));
  return oldest;
}

}  // namespace radiograph
