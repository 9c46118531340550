#include "server/store/schema.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/input_digests.h"
#include "server/store/job_columns.h"

namespace radiograph {
namespace {

// Records are serialised messages of radiograph.v1; the other columns are what queries and
// compare-and-set need. Numbers of states are those of v1::JobState: 1 QUEUED, 3 SUCCEEDED.
constexpr char kFirst[] = R"sql(
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

// Tenants; merged jobs; the queue's order is kept in memory, so its index goes.
constexpr char kTenants[] = R"sql(
  ALTER TABLE job ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
  ALTER TABLE job ADD COLUMN planned_seconds INTEGER NOT NULL DEFAULT 0;  -- in nanoseconds
  ALTER TABLE job ADD COLUMN merged_into TEXT NOT NULL DEFAULT '';
  DROP INDEX job_queue;
  DROP INDEX job_cache;
  DROP INDEX job_request;
  CREATE INDEX job_tenant ON job (tenant, sequence);
  CREATE INDEX job_cache ON job (tenant, cache_key, sequence) WHERE state = 3 AND cache_key <> '';
  CREATE INDEX job_in_flight ON job (tenant, cache_key, sequence)
    WHERE state IN (1, 2) AND cache_key <> '' AND merged_into = '';
  CREATE INDEX job_merged ON job (merged_into, sequence) WHERE merged_into <> '' AND state = 1;
  CREATE UNIQUE INDEX job_lease ON job (lease_token) WHERE state = 2;
  CREATE UNIQUE INDEX job_request ON job (tenant, request_id) WHERE request_id <> '';
)sql";

// A blob's row keeps the chaining values of its own SHA-256 where its parts meet, 32 bytes each,
// and no digests of the parts. Large blobs of before get theirs when they are read first.
constexpr char kChains[] = R"sql(
  ALTER TABLE blob RENAME COLUMN parts TO chain;
  UPDATE blob SET chain = x'';
)sql";

// What there was belongs to the tenant of servers without tokens.
constexpr char kOwners[] = R"sql(
  CREATE TABLE possession (          -- who has proven to have a blob, by uploading it
    tenant TEXT NOT NULL CHECK (tenant <> ''),
    sha256 TEXT NOT NULL,
    PRIMARY KEY (tenant, sha256)
  ) WITHOUT ROWID;
  INSERT INTO possession SELECT 'default', sha256 FROM blob;

  ALTER TABLE artifact RENAME TO artifact_before;
  CREATE TABLE artifact (
    sequence INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL CHECK (tenant <> ''),
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    content TEXT NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (tenant, name, version)
  );
  INSERT INTO artifact
    SELECT sequence, 'default', name, version, kind, content, record FROM artifact_before;
  DROP TABLE artifact_before;
  CREATE INDEX artifact_content ON artifact (tenant, name, content);
  ALTER TABLE artifact_name RENAME TO artifact_name_before;
  CREATE TABLE artifact_name (
    tenant TEXT NOT NULL CHECK (tenant <> ''),
    name TEXT NOT NULL,
    last_version INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
  ) WITHOUT ROWID;
  INSERT INTO artifact_name SELECT 'default', name, last_version FROM artifact_name_before;
  DROP TABLE artifact_name_before;
)sql";

// Since when a tenant needs a blob no more. What only workers have uploaded is possessed by theirs.
constexpr char kRetention[] = R"sql(
  ALTER TABLE possession ADD COLUMN unneeded_since INTEGER NOT NULL DEFAULT 0;  -- us; 0: needed
  CREATE INDEX possession_blob ON possession (sha256);
  INSERT INTO possession (tenant, sha256)
    SELECT '*', sha256 FROM blob WHERE sha256 NOT IN (SELECT sha256 FROM possession);
)sql";

// What running jobs keep (keepsakes.h).
constexpr char kKeepsakes[] = R"sql(
  CREATE TABLE kept_state (          -- for the next attempt; gone when the job has ended
    job INTEGER NOT NULL,
    key TEXT NOT NULL,
    engine TEXT NOT NULL,            -- digest of the Engine that made it
    attempt INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (job, key)
  ) WITHOUT ROWID;
  CREATE INDEX kept_state_blob ON kept_state (sha256);
  CREATE TABLE memo (
    tenant TEXT NOT NULL CHECK (tenant <> ''),
    digest TEXT NOT NULL,            -- of what was computed from what
    engine TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    used INTEGER NOT NULL,           -- seconds since 1970
    PRIMARY KEY (tenant, digest, engine)
  ) WITHOUT ROWID;
  CREATE INDEX memo_blob ON memo (sha256);
  CREATE INDEX memo_used ON memo (tenant, used);
)sql";

// Names that are moved from version to version. What one points at is not to be deleted.
constexpr char kAliases[] = R"sql(
  CREATE TABLE artifact_alias (
    tenant TEXT NOT NULL CHECK (tenant <> ''),
    name TEXT NOT NULL,              -- of the artifact
    alias TEXT NOT NULL,
    version INTEGER NOT NULL,
    record BLOB NOT NULL,            -- Alias
    PRIMARY KEY (tenant, name, alias)
  ) WITHOUT ROWID;
)sql";

// What lists of jobs are filtered and ordered by; FillJobColumns fills it.
constexpr char kListing[] = R"sql(
  ALTER TABLE job ADD COLUMN create_time INTEGER NOT NULL DEFAULT 0;  -- nanoseconds since 1970
  ALTER TABLE job ADD COLUMN end_time INTEGER NOT NULL DEFAULT 0;     -- 0: has not ended
  DROP INDEX job_tenant;
  CREATE INDEX job_created ON job (tenant, create_time);
  CREATE INDEX job_ended ON job (tenant, end_time);
  CREATE INDEX job_state_created ON job (tenant, state, create_time);
  CREATE TABLE job_label (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    create_time INTEGER NOT NULL,    -- of the job
    job INTEGER NOT NULL,
    PRIMARY KEY (tenant, key, value, create_time, job)
  ) WITHOUT ROWID;
)sql";

// How many bytes each tenant possesses, and all blobs take ('', each once): kept by triggers, so
// that it is right in every transaction, whoever gives and takes blobs. Rows of `blob` are changed
// by UPDATE, never by REPLACE, which runs no trigger for what it drops.
constexpr char kStored[] = R"sql(
  CREATE TABLE stored (
    tenant TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL
  ) WITHOUT ROWID;
  INSERT INTO stored SELECT '', coalesce(sum(size), 0) FROM blob;
  INSERT INTO stored
    SELECT tenant, sum(size) FROM possession JOIN blob USING (sha256) GROUP BY tenant;

  CREATE TRIGGER blob_came AFTER INSERT ON blob BEGIN
    UPDATE stored SET bytes = bytes + NEW.size WHERE tenant = ''
      OR tenant IN (SELECT tenant FROM possession WHERE sha256 = NEW.sha256);
  END;
  CREATE TRIGGER blob_changed AFTER UPDATE OF size ON blob WHEN NEW.size <> OLD.size BEGIN
    UPDATE stored SET bytes = bytes + NEW.size - OLD.size WHERE tenant = ''
      OR tenant IN (SELECT tenant FROM possession WHERE sha256 = NEW.sha256);
  END;
  CREATE TRIGGER blob_went AFTER DELETE ON blob BEGIN
    UPDATE stored SET bytes = bytes - OLD.size WHERE tenant = ''
      OR tenant IN (SELECT tenant FROM possession WHERE sha256 = OLD.sha256);
  END;
  CREATE TRIGGER possession_came AFTER INSERT ON possession BEGIN
    INSERT OR IGNORE INTO stored VALUES (NEW.tenant, 0);
    UPDATE stored SET bytes = bytes + coalesce((SELECT size FROM blob WHERE sha256 = NEW.sha256), 0)
      WHERE tenant = NEW.tenant;
  END;
  CREATE TRIGGER possession_went AFTER DELETE ON possession BEGIN
    UPDATE stored SET bytes = bytes - coalesce((SELECT size FROM blob WHERE sha256 = OLD.sha256), 0)
      WHERE tenant = OLD.tenant;
  END;
)sql";

// The input digest of an artifact is that of its files and roles alone; RenewInputDigests renews it.
// Finished work of before stays, and is not found by its cache key any more.
constexpr char kIdentity[] = "";

// Script i leads from version i to version i + 1. A script is never changed once it has landed.
constexpr const char* kScripts[] = {kFirst,     kTenants, kChains,  kOwners, kRetention,
                                    kKeepsakes, kAliases, kListing, kStored,  kIdentity};
static_assert(kSchemaVersion == std::size(kScripts));

}  // namespace

absl::Status MigrateSchema(Connection& connection, int64_t newest) {
  Statement& read = connection.Prepare("PRAGMA user_version");
  ASSIGN_OR_RETURN(bool found, read.Step());
  int64_t version = found ? read.Int(0) : 0;
  connection.ResetAll();
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the state folder has schema ", version,
                     ", written by a newer radiographd; this one knows ", kSchemaVersion));
  }
  for (; version < newest; ++version) {
    RETURN_IF_ERROR(connection.Execute("BEGIN IMMEDIATE"));
    RETURN_IF_ERROR(connection.Execute(kScripts[version]));
    if (kScripts[version] == kListing) RETURN_IF_ERROR(FillJobColumns(connection));
    if (kScripts[version] == kIdentity) RETURN_IF_ERROR(RenewInputDigests(connection));
    RETURN_IF_ERROR(
        connection.Execute(absl::StrCat("PRAGMA user_version = ", version + 1).c_str()));
    RETURN_IF_ERROR(connection.Execute("COMMIT"));
  }
  return absl::OkStatus();
}

}  // namespace radiograph
