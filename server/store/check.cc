#include "server/store/check.h"

#include <sys/resource.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "server/store/messages.h"
#include "server/store/needs.h"

namespace radiograph {
namespace {

constexpr int64_t kPageRows = 256;
constexpr int kNeededByMax = 10;
constexpr size_t kHeldMax = 1000;  // damaged blobs for which it is looked up what needs them
constexpr absl::Duration kProgressInterval = absl::Seconds(1);
constexpr char kRestore[] = "restore a backup (deploy/README.md)";
constexpr char kUploadAgain[] =
    "upload the same bytes again (radiograph models push, data push, or run, with the same files), "
    "or restore the file from a backup";

// What rows of several tables must agree on, as the count of those that don't. Adding a table that
// refers to another is a line.
struct RowCheck {
  const char* reason;
  const char* subject;
  const char* text;
  const char* count;  // SQL
};
constexpr char kOrphaned[] = "rows belong to nothing; they do no harm, but should not be";
constexpr RowCheck kRowChecks[] = {
    {"ROW_ORPHANED", "artifact_alias", kOrphaned,
     "SELECT count(*) FROM artifact_alias AS alias WHERE NOT EXISTS (SELECT 1 FROM artifact "
     "WHERE tenant = alias.tenant AND name = alias.name AND version = alias.version)"},
    {"ROW_ORPHANED", "event", kOrphaned,
     "SELECT count(*) FROM event WHERE job NOT IN (SELECT sequence FROM job)"},
    {"ROW_ORPHANED", "job_request_text", kOrphaned,
     "SELECT count(*) FROM job_request_text WHERE job NOT IN (SELECT sequence FROM job)"},
    {"ROW_ORPHANED", "kept_state", kOrphaned,
     "SELECT count(*) FROM kept_state WHERE job NOT IN (SELECT sequence FROM job)"},
    {"ROW_ORPHANED", "possession", kOrphaned,
     "SELECT count(*) FROM possession WHERE sha256 NOT IN (SELECT sha256 FROM blob)"},
    {"COUNTER_WRONG", "stored", "sums of stored bytes are wrong, so quotas are, too",
     "SELECT count(*) FROM stored AS s WHERE bytes <> CASE tenant "
     "WHEN '' THEN (SELECT coalesce(sum(size), 0) FROM blob) "
     "ELSE (SELECT coalesce(sum(size), 0) FROM possession AS p JOIN blob USING (sha256) "
     "WHERE p.tenant = s.tenant) END"},
};

v1::Problem MakeProblem(const char* reason, const std::string& subject, const std::string& text) {
  v1::Problem problem;
  problem.set_reason(reason);
  problem.set_subject(subject);
  problem.set_text(text);
  return problem;
}

class Checker {
 public:
  Checker(Store& store, const v1::CheckRequest& request, const Clock& clock, Stopped stopped,
          TellCheck tell)
      : store_(store), request_(request), clock_(clock), stopped_(stopped), tell_(tell) {}

  absl::Status Run() {
    for (auto part : {&Checker::CheckDatabase, &Checker::CheckBlobs, &Checker::CheckFiles,
                      &Checker::CheckArtifacts, &Checker::CheckJobs, &Checker::CheckTables}) {
      absl::Status status = (this->*part)();
      // The others may still find what is left.
      if (absl::IsDataLoss(status)) status = Found(Damaged(std::string(status.message())));
      RETURN_IF_ERROR(status);
    }
    for (auto& [sha256, problem] : held_) {
      if (problem.needed_by().empty()) {
        problem.set_text(absl::StrCat(problem.text(), "; nothing needs it"));
      }
      RETURN_IF_ERROR(Found(std::move(problem)));
    }
    sofar_.set_done(true);
    return tell_(sofar_);
  }

 private:
  struct BlobRow {
    std::string sha256;
    int64_t size = 0;
  };
  struct Record {
    int64_t sequence = 0;
    std::string tenant;
    std::string name;  // of whom it is: "artifact net@1", "job 12ab"
    v1::Job job;       // or an artifact's files as a job's result
    bool readable = true;
    int64_t state = 0;  // as the column has it
    int64_t events = 0, events_found = 0;
    bool has_request = true;
  };

  static v1::Problem Damaged(const std::string& text) {
    return MakeProblem("DATABASE_DAMAGED", "radiograph.db", absl::StrCat(text, "; ", kRestore));
  }

  absl::Status Found(v1::Problem problem) {
    sofar_.set_problems(sofar_.problems() + 1);
    v1::CheckResponse response = sofar_;
    *response.mutable_problem() = std::move(problem);
    return tell_(response);
  }
  // To be called often.
  absl::Status GoOn() {
    if (stopped_()) return absl::CancelledError("asked to stop");
    const absl::Duration now = clock_.Monotonic();
    if (now - told_ < kProgressInterval) return absl::OkStatus();
    told_ = now;
    return tell_(sofar_);
  }

  absl::Status CheckDatabase() {
    constexpr int kMessagesMax = 20;
    std::vector<std::string> messages;
    RETURN_IF_ERROR(store_.database->Read([&](Connection& connection) -> absl::Status {
      Statement& check = connection.Prepare("PRAGMA integrity_check(20)");
      while (messages.size() < kMessagesMax) {
        ASSIGN_OR_RETURN(const bool found, check.Step());
        if (!found) break;
        messages.emplace_back(check.Text(0));
      }
      return absl::OkStatus();
    }));
    for (const std::string& message : messages) {
      if (message != "ok") RETURN_IF_ERROR(Found(Damaged(message)));
    }
    return GoOn();
  }

  absl::StatusOr<std::vector<BlobRow>> BlobsAfter(const std::string& last) {
    std::vector<BlobRow> page;
    RETURN_IF_ERROR(store_.database->Read([&](Connection& connection) -> absl::Status {
      Statement& rows = connection
                            .Prepare(
                                "SELECT sha256, size FROM blob WHERE sha256 > ? ORDER BY sha256 "
                                "LIMIT ?")
                            .Bind(1, last)
                            .Bind(2, kPageRows);
      while (true) {
        ASSIGN_OR_RETURN(const bool found, rows.Step());
        if (!found) return absl::OkStatus();
        page.push_back({std::string(rows.Text(0)), rows.Int(1)});
      }
    }));
    return page;
  }
  absl::Status CheckBlobs() {
    std::string last;
    while (true) {
      ASSIGN_OR_RETURN(const std::vector<BlobRow> page, BlobsAfter(last));
      if (page.empty()) return absl::OkStatus();
      last = page.back().sha256;
      for (const BlobRow& blob : page) RETURN_IF_ERROR(CheckBlob(blob));
    }
  }
  absl::Status CheckBlob(const BlobRow& blob) {
    absl::Status ended;
    const absl::StatusOr<BlobState> state =
        store_.blobs->Look(blob.sha256, request_.digests(), [&](int64_t bytes) {
          sofar_.set_bytes(sofar_.bytes() + bytes);
          return ended = GoOn();
        });
    RETURN_IF_ERROR(ended);
    sofar_.set_blobs(sofar_.blobs() + 1);
    if (!state.ok()) {
      return Hold("BLOB_DAMAGED", blob,
                  absl::StrCat("its file can't be read: ", state.status().message()));
    }
    switch (*state) {
      case BlobState::kWhole:
      case BlobState::kUnknown:  // removed meanwhile
        return GoOn();
      case BlobState::kMissing:
        return Hold("BLOB_MISSING", blob, "its file is gone");
      case BlobState::kWrongSize:
        return Hold("BLOB_WRONG_SIZE", blob,
                    absl::StrCat("its file has not the ", blob.size, " bytes that it should have"));
      case BlobState::kDamaged:
        return Hold("BLOB_DAMAGED", blob, "the bytes of its file have changed");
    }
    return absl::OkStatus();
  }
  // Until it is known what needs the blob.
  absl::Status Hold(const char* reason, const BlobRow& blob, const std::string& what) {
    v1::Problem problem =
        MakeProblem(reason, blob.sha256, absl::StrCat(what, "; ", kUploadAgain));
    if (held_.size() >= kHeldMax) return Found(std::move(problem));
    held_[blob.sha256] = std::move(problem);
    return GoOn();
  }

  absl::Status CheckFiles() {
    const std::string blobs = absl::StrCat(store_.folder.path(), "/blobs");
    std::error_code error;
    for (const auto& folder : std::filesystem::directory_iterator(blobs, error)) {
      RETURN_IF_ERROR(GoOn());
      const std::string name = folder.path().filename().string();
      if (!folder.is_directory(error)) {
        RETURN_IF_ERROR(Foreign(folder.path().string()));
        continue;
      }
      for (const auto& file : std::filesystem::directory_iterator(folder.path(), error)) {
        const std::string sha256 = file.path().filename().string();
        if (!IsSha256(sha256) || absl::string_view(sha256).substr(0, 2) != name) {
          RETURN_IF_ERROR(Foreign(file.path().string()));
        }
      }
      ASSIGN_OR_RETURN(const std::vector<std::string> unknown, store_.blobs->UnknownFiles(name));
      for (const std::string& sha256 : unknown) {
        RETURN_IF_ERROR(Found(MakeProblem(
            "FILE_UNKNOWN", sha256,
            "a file without a row, left by an interruption and seen by nobody; the next collection "
            "removes it (radiograph doctor --collect)")));
      }
    }
    if (!error || error == std::errc::no_such_file_or_directory) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat("can't list ", blobs, ": ", error.message()));
  }
  absl::Status Foreign(const std::string& path) {
    return Found(MakeProblem("FILE_UNKNOWN", path, "is no file of Radiograph's; move it away"));
  }

  // Reads a page of records, each within one snapshot together with what it names.
  using ReadRecord = absl::FunctionRef<absl::Status(Connection&, const Statement&, Record&)>;
  absl::Status ForEachRecord(const char* sql, ReadRecord read,
                             absl::FunctionRef<absl::Status(const Record&)> judge) {
    int64_t last = 0;
    while (true) {
      std::vector<Record> page;
      std::vector<v1::Problem> dangling;
      RETURN_IF_ERROR(store_.database->Read([&](Connection& connection) -> absl::Status {
        Statement& rows = connection.Prepare(sql).Bind(1, last).Bind(2, kPageRows);
        while (true) {
          ASSIGN_OR_RETURN(const bool found, rows.Step());
          if (!found) return absl::OkStatus();
          Record& record = page.emplace_back();
          record.sequence = rows.Int(0);
          RETURN_IF_ERROR(read(connection, rows, record));
          RETURN_IF_ERROR(CheckReferences(connection, record, dangling));
        }
      }));
      for (v1::Problem& problem : dangling) RETURN_IF_ERROR(Found(std::move(problem)));
      for (const Record& record : page) {
        sofar_.set_rows(sofar_.rows() + 1);
        RETURN_IF_ERROR(judge(record));
        RETURN_IF_ERROR(GoOn());
      }
      if (page.empty()) return absl::OkStatus();
      last = page.back().sequence;
    }
  }
  absl::Status CheckReferences(Connection& connection, const Record& record,
                               std::vector<v1::Problem>& dangling) {
    std::vector<v1::ArtifactFile> files;
    ForEachBlob(record.job, [&](const v1::ArtifactFile& file) { files.push_back(file); });
    for (const v1::ArtifactFile& file : files) {
      const std::string& sha256 = file.blob().sha256();
      ASSIGN_OR_RETURN(const std::optional<int64_t> size,
                       PossessedSize(connection, record.tenant, sha256));
      if (size != file.blob().size()) {
        dangling.push_back(MakeProblem(
            "REFERENCE_DANGLING", record.name,
            absl::StrCat("names blob ", sha256, " (", file.name(), "), which ",
                         size ? "has another size" : "its tenant does not have", "; ",
                         kUploadAgain)));
      }
      const auto held = held_.find(sha256);
      if (held == held_.end() || held->second.needed_by_size() >= kNeededByMax) continue;
      held->second.add_needed_by(record.name);
    }
    return absl::OkStatus();
  }

  absl::Status CheckArtifacts() {
    auto read = [](Connection&, const Statement& row, Record& record) {
      record.tenant = std::string(row.Text(1));
      record.name = absl::StrCat("artifact ", row.Text(2), "@", row.Int(3));
      v1::Artifact artifact;
      record.readable = ParseRecord(row.Blob(4), artifact).ok();
      *record.job.mutable_result() = artifact.files();
      return absl::OkStatus();
    };
    return ForEachRecord(
        "SELECT sequence, tenant, name, version, record FROM artifact WHERE sequence > ? "
        "ORDER BY sequence LIMIT ?",
        read, [this](const Record& record) { return CheckReadable(record); });
  }
  absl::Status CheckReadable(const Record& record) {
    if (record.readable) return absl::OkStatus();
    return Found(MakeProblem("RECORD_DAMAGED", record.name,
                             absl::StrCat("its record can't be read; ", kRestore)));
  }

  absl::Status CheckJobs() {
    auto read = [](Connection&, const Statement& row, Record& record) {
      record.tenant = std::string(row.Text(1));
      record.name = absl::StrCat("job ", row.Text(2));
      record.state = row.Int(3);
      record.events = row.Int(4);
      record.events_found = row.Int(5);
      record.has_request = row.Int(6) != 0;
      record.readable = ParseRecord(row.Blob(7), record.job).ok();
      return absl::OkStatus();
    };
    return ForEachRecord(
        "SELECT sequence, tenant, id, state, events, "
        "(SELECT count(*) FROM event WHERE job = job.sequence), "
        "EXISTS (SELECT 1 FROM job_request_text WHERE job = job.sequence), record "
        "FROM job WHERE sequence > ? ORDER BY sequence LIMIT ?",
        read, [this](const Record& record) { return CheckJob(record); });
  }
  absl::Status CheckJob(const Record& record) {
    RETURN_IF_ERROR(CheckReadable(record));
    if (!record.readable) return absl::OkStatus();
    std::string wrong;
    if (record.state != record.job.state()) {
      wrong = absl::StrCat("its record says ", v1::JobState_Name(record.job.state()),
                           ", its row ", record.state);
    } else if ((record.job.state() == v1::SUCCEEDED) == record.job.result().empty()) {
      wrong = absl::StrCat("is ", v1::JobState_Name(record.job.state()), " and has ",
                           record.job.result().empty() ? "no" : "a", " result");
    } else if (record.events != record.events_found) {
      wrong = absl::StrCat("has ", record.events_found, " events of ", record.events);
    } else if (!record.has_request) {
      wrong = "has lost its request, so it can't run";
    }
    if (wrong.empty()) return absl::OkStatus();
    return Found(MakeProblem(
        "JOB_INCONSISTENT", record.name,
        absl::StrCat(wrong, "; delete it and ask for the same again, or ", kRestore)));
  }

  absl::Status CheckTables() {
    for (const RowCheck& check : kRowChecks) {
      int64_t count = 0;
      RETURN_IF_ERROR(store_.database->Read([&](Connection& connection) -> absl::Status {
        Statement& rows = connection.Prepare(check.count);
        ASSIGN_OR_RETURN(const bool found, rows.Step());
        if (found) count = rows.Int(0);
        return absl::OkStatus();
      }));
      RETURN_IF_ERROR(GoOn());
      if (count == 0) continue;
      RETURN_IF_ERROR(Found(
          MakeProblem(check.reason, check.subject, absl::StrCat(count, " ", check.text))));
    }
    return absl::OkStatus();
  }

  Store& store_;
  const v1::CheckRequest& request_;
  const Clock& clock_;
  Stopped stopped_;
  TellCheck tell_;
  v1::CheckResponse sofar_;
  absl::Duration told_ = absl::ZeroDuration();
  std::map<std::string, v1::Problem> held_;  // of blobs, by digest
};

}  // namespace

absl::Status Check(Store& store, const v1::CheckRequest& request, const Clock& clock,
                   Stopped stopped, TellCheck tell) {
  absl::Status status;
  {
    // A thread of its own, which all others go before.
    std::jthread worker([&] {
      setpriority(PRIO_PROCESS, 0, 19);  // 0: this thread
      status = Checker(store, request, clock, stopped, tell).Run();
    });
  }
  return status;
}

}  // namespace radiograph
