#include "server/store/schema.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr int64_t kSchemaVersion = 1;

// Records are serialised messages of radiograph.v1; the other columns are what queries and
// compare-and-set need. Numbers of states are those of v1::JobState: 1 QUEUED, 3 SUCCEEDED.
constexpr char kSchema[] = R"sql(
  CREATE TABLE blob (
    sha256 TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    parts BLOB NOT NULL              -- 32 bytes per part: the part's SHA-256
  ) WITHOUT ROWID;

  CREATE TABLE artifact (
    sequence INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    content TEXT NOT NULL,           -- digest of what makes two versions the same
    record BLOB NOT NULL,            -- Artifact
    UNIQUE (name, version)
  );
  CREATE INDEX artifact_content ON artifact (name, content);
  CREATE TABLE artifact_name (       -- outlives the versions, so that none is given twice
    name TEXT PRIMARY KEY,
    last_version INTEGER NOT NULL
  ) WITHOUT ROWID;

  CREATE TABLE job (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state INTEGER NOT NULL,
    analysis TEXT NOT NULL,
    version INTEGER NOT NULL,
    device_kind TEXT NOT NULL,
    memory INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    cache_key TEXT NOT NULL,         -- empty: its result is not to be found
    lease_token TEXT NOT NULL,
    embedded INTEGER NOT NULL,
    events INTEGER NOT NULL,
    record BLOB NOT NULL             -- Job
  );
  CREATE INDEX job_state ON job (state, sequence);
  CREATE INDEX job_queue ON job (analysis, version, sequence, device_kind, memory) WHERE state = 1;
  CREATE INDEX job_cache ON job (cache_key, sequence) WHERE state = 3 AND cache_key <> '';
  CREATE UNIQUE INDEX job_request ON job (request_id) WHERE request_id <> '';
  CREATE TABLE job_request_text (    -- apart: changes of a job do not rewrite it
    job INTEGER PRIMARY KEY,
    text TEXT NOT NULL
  );
  CREATE TABLE event (
    job INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    record BLOB NOT NULL,            -- JobEvent
    PRIMARY KEY (job, sequence)
  ) WITHOUT ROWID;
)sql";

}  // namespace

absl::Status MigrateSchema(Connection& connection) {
  Statement& read = connection.Prepare("PRAGMA user_version");
  ASSIGN_OR_RETURN(bool found, read.Step());
  int64_t version = found ? read.Int(0) : 0;
  connection.ResetAll();
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the state folder has schema ", version,
                     ", written by a newer radiographd; this one knows ", kSchemaVersion));
  }
  if (version == kSchemaVersion) return absl::OkStatus();
  RETURN_IF_ERROR(connection.Execute("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(connection.Execute(kSchema));
  RETURN_IF_ERROR(
      connection.Execute(absl::StrCat("PRAGMA user_version = ", kSchemaVersion).c_str()));
  return connection.Execute("COMMIT");
}

}  // namespace radiograph
