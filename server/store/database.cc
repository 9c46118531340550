#include "server/store/database.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "server/store/schema.h"

namespace radiograph {
namespace {

absl::Status Damaged(const std::string& path, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat(path, " is damaged: ", what, "; restore it from a backup"));
}

// quick_check reads every page and row; it leaves out comparing indexes with tables, which would
// make a start after a crash several times slower.
absl::Status CheckIntegrity(Connection& connection, const std::string& path) {
  Statement& check = connection.Prepare("PRAGMA quick_check(1)");
  ASSIGN_OR_RETURN(bool found, check.Step());
  std::string answer(found ? check.Text(0) : "no answer");
  connection.ResetAll();
  return answer == "ok" ? absl::OkStatus() : Damaged(path, answer);
}

absl::StatusOr<Connection> OpenWriter(const Database::Options& options) {
  ASSIGN_OR_RETURN(Connection writer, Connection::Open(options.path, Connection::Mode::kReadWrite));
  if (options.check_integrity) RETURN_IF_ERROR(CheckIntegrity(writer, options.path));
  RETURN_IF_ERROR(writer.Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"));
  RETURN_IF_ERROR(MigrateSchema(writer));
  return writer;
}

// One write inside the open transaction, in a savepoint of its own.
absl::Status RunInSavepoint(Connection& connection, const Database::Body& body) {
  RETURN_IF_ERROR(connection.Prepare("SAVEPOINT write").Run());
  absl::Status status = body(connection);
  connection.ResetAll();
  if (!status.ok() && connection.in_transaction()) {
    RETURN_IF_ERROR(connection.Prepare("ROLLBACK TO write").Run());
  }
  if (connection.in_transaction()) RETURN_IF_ERROR(connection.Prepare("RELEASE write").Run());
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> Database::Open(Options options) {
  absl::StatusOr<Connection> writer = OpenWriter(options);
  // So bad that SQLite itself gave up.
  if (absl::IsDataLoss(writer.status()) && !absl::StrContains(writer.status().message(), "backup")) {
    return Damaged(options.path, writer.status().message());
  }
  RETURN_IF_ERROR(writer.status());
  return std::unique_ptr<Database>(new Database(std::move(options), *std::move(writer)));
}

Database::Database(Options options, Connection writer)
    : options_(std::move(options)),
      writer_(std::move(writer)),
      thread_([this](std::stop_token stop) { WriteLoop(stop); }) {}

Database::~Database() = default;

void Database::Submit(Body body, Done done) {
  absl::MutexLock lock(&mu_);
  queue_.push_back({std::move(body), std::move(done)});
}

absl::Status Database::Write(Body body) {
  absl::Notification written;
  absl::Status result;
  {
    absl::MutexLock lock(&mu_);
    if (static_cast<int64_t>(queue_.size()) >= options_.writes_max) {
      return absl::UnavailableError(
          absl::StrCat("database: ", options_.writes_max, " writes wait already"));
    }
    queue_.push_back({std::move(body), [&](absl::Status status) {
                        result = std::move(status);
                        written.Notify();
                      }});
  }
  written.WaitForNotification();
  return result;
}

std::vector<Database::QueuedWrite> Database::NextGroup(std::stop_token stop) {
  std::stop_callback wake(stop, [this] { absl::MutexLock lock(&mu_); });
  absl::MutexLock lock(&mu_);
  auto ready = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !queue_.empty() || stop.stop_requested();
  };
  mu_.Await(absl::Condition(&ready));
  std::vector<QueuedWrite> group;
  while (!queue_.empty() && static_cast<int64_t>(group.size()) < options_.group_max) {
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return group;
}

void Database::WriteLoop(std::stop_token stop) {
  while (true) {
    std::vector<QueuedWrite> group = NextGroup(stop);
    if (group.empty()) return;  // stopped, and nothing is left
    std::vector<absl::Status> statuses = Commit(group);
    for (size_t i = 0; i < group.size(); ++i) group[i].done(std::move(statuses[i]));
  }
}

std::vector<absl::Status> Database::Commit(const std::vector<QueuedWrite>& group) {
  const auto all = [&](const absl::Status& status) {
    return std::vector<absl::Status>(group.size(), status);
  };
  if (!broken_.ok()) return all(broken_);
  if (absl::Status begun = writer_.Prepare("BEGIN IMMEDIATE").Run(); !begun.ok()) return all(begun);
  std::vector<absl::Status> statuses;
  for (const QueuedWrite& write : group) {
    statuses.push_back(RunInSavepoint(writer_, write.body));
    if (!writer_.in_transaction()) return all(statuses.back());  // SQLite rolled everything back
  }
  absl::Status committed = writer_.Prepare("COMMIT").Run();
  if (committed.ok()) return statuses;
  const bool sync_failed = writer_.sync_failed();
  if (writer_.in_transaction()) static_cast<void>(writer_.Execute("ROLLBACK"));
  if (sync_failed) {
    broken_ = absl::DataLossError(absl::StrCat(
        "the database takes no writes until radiographd is started again: ", committed.message()));
    Log(LogLevel::kError, "database_broken", {{"reason", committed.message()}});
    return all(broken_);
  }
  return all(committed);
}

absl::StatusOr<std::unique_ptr<Connection>> Database::TakeReader() {
  {
    absl::MutexLock lock(&mu_);
    if (!idle_readers_.empty()) {
      std::unique_ptr<Connection> reader = std::move(idle_readers_.back());
      idle_readers_.pop_back();
      return reader;
    }
  }
  ASSIGN_OR_RETURN(Connection opened, Connection::Open(options_.path, Connection::Mode::kReadOnly));
  return std::make_unique<Connection>(std::move(opened));
}

absl::Status Database::Read(absl::FunctionRef<absl::Status(Connection&)> body) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> reader, TakeReader());
  RETURN_IF_ERROR(reader->Prepare("BEGIN").Run());
  absl::Status status = body(*reader);
  reader->ResetAll();
  RETURN_IF_ERROR(reader->Prepare("COMMIT").Run());
  absl::MutexLock lock(&mu_);
  if (static_cast<int64_t>(idle_readers_.size()) < options_.readers_max) {
    idle_readers_.push_back(std::move(reader));
  }
  return status;
}

}  // namespace radiograph
