// SQLite as we use it: one thread with one connection does all writes and checkpoints, readers are
// read-only. (Two writing connections meet the WAL-reset bug of SQLite 3.40; one can't.)
//
// Durability: WAL with synchronous=FULL. Writes that come while a commit runs are committed
// together (group commit): one sync serves them all. A write's `done` comes after its commit.
#ifndef RADIOGRAPH_SERVER_STORE_DATABASE_H_
#define RADIOGRAPH_SERVER_STORE_DATABASE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/store/connection.h"

namespace radiograph {

// Safe for use from many threads.
class Database {
 public:
  struct Options {
    std::string path;              // of the file
    bool check_integrity = false;  // before anything else; set after an unclean stop
    int64_t readers_max = 8;       // read-only connections kept open
    int64_t writes_max = 10'000;   // queued; more are refused with UNAVAILABLE
    int64_t group_max = 256;       // writes in one commit
  };
  using Body = std::function<absl::Status(Connection&)>;
  using Done = std::function<void(absl::Status)>;

  // Creates the file or brings its schema up to date. FAILED_PRECONDITION when a newer Radiograph
  // wrote it, DATA_LOSS when the integrity check finds damage.
  static absl::StatusOr<std::unique_ptr<Database>> Open(Options options);
  // Commits what is queued.
  ~Database();

  // Queues a write. The writer's thread runs `body` in a transaction (a savepoint of its own: a
  // body that fails leaves no trace and spoils no other), commits, then calls `done` with the
  // body's status or the commit's. `done` must not block, and may queue more. RESOURCE_EXHAUSTED:
  // the disk is full. After a failed sync the file's content is unknown: every later write is
  // refused with DATA_LOSS.
  void Submit(Body body, Done done);
  // The same, and waits. Not from the writer's thread.
  absl::Status Write(Body body);

  // Runs `body` on a read-only connection: it sees what was committed when its first statement
  // began.
  absl::Status Read(absl::FunctionRef<absl::Status(Connection&)> body);

 private:
  struct QueuedWrite {
    Body body;
    Done done;
  };
  Database(Options options, Connection writer);
  void WriteLoop(std::stop_token stop);
  std::vector<QueuedWrite> NextGroup(std::stop_token stop);
  std::vector<absl::Status> Commit(const std::vector<QueuedWrite>& group);
  absl::StatusOr<std::unique_ptr<Connection>> TakeReader();

  const Options options_;
  Connection writer_;    // of the writer's thread only; closed after the readers, it checkpoints
  absl::Status broken_;  // of the writer's thread only: set once a sync has failed
  absl::Mutex mu_;
  std::deque<QueuedWrite> queue_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<Connection>> idle_readers_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;  // last: it ends first
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_DATABASE_H_
