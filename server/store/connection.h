// One SQLite connection and its prepared statements. Used from one thread at a time.
//
//   Statement& find = connection.Prepare("SELECT record FROM job WHERE id = ?");
//   find.Bind(1, id);
//   ASSIGN_OR_RETURN(bool found, find.Step());
//   if (found) use(find.Blob(0));
#ifndef RADIOGRAPH_SERVER_STORE_CONNECTION_H_
#define RADIOGRAPH_SERVER_STORE_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace radiograph {

// A statement as prepared once and run many times.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Positions count from 1. Bytes are copied.
  Statement& Bind(int position, int64_t value);
  Statement& Bind(int position, absl::string_view text);
  Statement& BindBlob(int position, absl::string_view bytes);

  // True: a row is there. False: the end; the statement is ready for its next use.
  absl::StatusOr<bool> Step();
  // Step until the end, for statements without rows.
  absl::Status Run();

  // Columns of the row, from 0. Views live until the next Step.
  int64_t Int(int column) const;
  absl::string_view Text(int column) const;
  absl::string_view Blob(int column) const;

 private:
  friend class Connection;
  Statement& Bound(int code);

  sqlite3* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  absl::Status error_;  // of Prepare or Bind; Step tells it
};

class Connection {
 public:
  enum class Mode { kReadWrite, kReadOnly };
  static absl::StatusOr<Connection> Open(const std::string& path, Mode mode);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&&) = delete;
  ~Connection();

  // The statement for `sql` (a literal), reset and unbound, prepared at its first use. An SQL error
  // comes out of its Step.
  Statement& Prepare(absl::string_view sql);
  // The same for an `sql` that will hardly come again: it is forgotten with the statement, which
  // ends before the connection does.
  Statement PrepareOnce(absl::string_view sql);
  // Statements without rows or values, separated by semicolons.
  absl::Status Execute(const char* sql);
  // Ends all statements that were left in the middle of their rows: they would hold a snapshot.
  void ResetAll();
  // False after an error at which SQLite rolled back by itself.
  bool in_transaction() const;
  // The last error was a failed sync.
  bool sync_failed() const;
  // Rows changed by the last INSERT, UPDATE or DELETE.
  int64_t changes() const;
  int64_t last_row() const;

 private:
  explicit Connection(sqlite3* database) : database_(database) {}
  Statement Compile(absl::string_view sql, unsigned int flags);
  sqlite3* database_;
  absl::node_hash_map<std::string, Statement> statements_;
};

// SQLITE_FULL is RESOURCE_EXHAUSTED (quota.h, to be tried again), damage DATA_LOSS, a broken
// constraint ALREADY_EXISTS, failed I/O UNAVAILABLE, all else INTERNAL.
absl::Status SqliteStatus(sqlite3* database, absl::string_view action);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_CONNECTION_H_
