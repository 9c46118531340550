#include "server/store/connection.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/quota.h"

namespace radiograph {
namespace {

constexpr absl::Duration kRetryWhenFull = absl::Seconds(5);

absl::StatusCode CodeOf(int extended) {
  switch (extended & 0xff) {
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kAlreadyExists;
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status SqliteStatus(sqlite3* database, absl::string_view action) {
  const int extended = sqlite3_extended_errcode(database);
  std::string text =
      absl::StrCat("database: can't ", action, ": ", sqlite3_errmsg(database), " (", extended, ")");
  if ((extended & 0xff) == SQLITE_FULL) {
    return QuotaExceeded(
        {.quota = Quota::kDiskSpace, .text = std::move(text), .retry = kRetryWhenFull});
  }
  return absl::Status(CodeOf(extended), text);
}

Statement::Statement(Statement&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)),
      statement_(std::exchange(other.statement_, nullptr)),
      error_(std::move(other.error_)) {}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::Bind(int position, int64_t value) {
  return Bound(sqlite3_bind_int64(statement_, position, value));
}

Statement& Statement::Bind(int position, absl::string_view text) {
  return Bound(sqlite3_bind_text64(statement_, position, text.empty() ? "" : text.data(),
                                   text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

Statement& Statement::BindBlob(int position, absl::string_view bytes) {
  return Bound(sqlite3_bind_blob64(statement_, position, bytes.empty() ? "" : bytes.data(),
                                   bytes.size(), SQLITE_TRANSIENT));
}

Statement& Statement::Bound(int code) {
  if (code != SQLITE_OK && error_.ok()) error_ = SqliteStatus(database_, "bind a value");
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  if (!error_.ok()) return error_;
  int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  absl::Status status =
      code == SQLITE_DONE ? absl::OkStatus() : SqliteStatus(database_, sqlite3_sql(statement_));
  sqlite3_reset(statement_);
  if (!status.ok()) return status;
  return false;
}

absl::Status Statement::Run() {
  while (true) {
    ASSIGN_OR_RETURN(bool row, Step());
    if (!row) return absl::OkStatus();
  }
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

absl::string_view Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return {text == nullptr ? "" : text,
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

absl::string_view Statement::Blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return {bytes == nullptr ? "" : bytes,
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

absl::StatusOr<Connection> Connection::Open(const std::string& path, Mode mode) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |=
      mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* database = nullptr;
  int code = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
  Connection connection(database);
  if (code != SQLITE_OK) return SqliteStatus(database, absl::StrCat("open ", path));
  sqlite3_busy_timeout(database, 5000);
  return connection;
}

Connection::Connection(Connection&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)),
      statements_(std::move(other.statements_)) {}

Connection::~Connection() {
  statements_.clear();
  sqlite3_close(database_);
}

Statement Connection::Compile(absl::string_view sql, unsigned int flags) {
  Statement statement;
  statement.database_ = database_;
  int code = sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()), flags,
                                &statement.statement_, nullptr);
  if (code != SQLITE_OK) statement.error_ = SqliteStatus(database_, absl::StrCat("prepare ", sql));
  return statement;
}

Statement Connection::PrepareOnce(absl::string_view sql) { return Compile(sql, 0); }

Statement& Connection::Prepare(absl::string_view sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    return statements_.try_emplace(sql, Compile(sql, SQLITE_PREPARE_PERSISTENT)).first->second;
  }
  Statement& statement = found->second;
  if (statement.statement_ == nullptr) return statement;  // keeps the error of its first Prepare
  statement.error_ = absl::OkStatus();
  sqlite3_reset(statement.statement_);
  sqlite3_clear_bindings(statement.statement_);
  return statement;
}

absl::Status Connection::Execute(const char* sql) {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return absl::OkStatus();
  return SqliteStatus(database_, sql);
}

void Connection::ResetAll() {
  for (auto& [sql, statement] : statements_) sqlite3_reset(statement.statement_);
}

bool Connection::in_transaction() const { return sqlite3_get_autocommit(database_) == 0; }
bool Connection::sync_failed() const {
  const int extended = sqlite3_extended_errcode(database_);
  return extended == SQLITE_IOERR_FSYNC || extended == SQLITE_IOERR_DIR_FSYNC;
}
int64_t Connection::changes() const { return sqlite3_changes64(database_); }
int64_t Connection::last_row() const { return sqlite3_last_insert_rowid(database_); }

}  // namespace radiograph
