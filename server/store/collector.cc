#include "server/store/collector.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "server/store/messages.h"
#include "server/store/needs.h"

namespace radiograph {
namespace {

constexpr size_t kPlanEntriesMax = 50'000;  // of a kind; then another look
constexpr size_t kJobsPerWrite = 64;
constexpr int64_t kEventsPerWrite = 4096;  // of those jobs; one job alone may have more
constexpr size_t kRowsPerWrite = 256;
constexpr int64_t kRowsPerStopCheck = 1024;

absl::Status StopStatus(Stopped stopped) {
  return stopped() ? absl::CancelledError("asked to stop") : absl::OkStatus();
}

// A result lives as long as it is asked for: the job that made it is kept while one that was
// answered with it is.
std::string ResultKey(const v1::Job& job) {
  return absl::StrCat(job.tenant(), " ", job.cache_key());
}

}  // namespace

// What a look has found.
struct Collector::Plan {
  // That the note of a possession shall change, unless it has by then. 0 is no note.
  struct Change {
    std::string tenant, sha256;
    int64_t from = 0, to = 0;
  };
  struct EndedJob {
    JobKey key;
    int64_t events = 0;
  };
  std::vector<EndedJob> jobs;  // to be forgotten
  std::vector<Change> notes;
  std::vector<BlobStore::Removal> removals;
  v1::CollectResponse found;  // all that may go, also what didn't fit into the lists
  bool more = false;          // a list was full: what didn't fit is found by the next look

  template <typename T>
  void Push(std::vector<T>& list, T entry) {
    more = more || list.size() >= kPlanEntriesMax;
    if (list.size() < kPlanEntriesMax) list.push_back(std::move(entry));
  }
};

namespace {

// Decides of all jobs, newest first, which are kept.
class JobsKept {
 public:
  JobsKept(absl::Time now, absl::Duration keep) : now_(now), keep_(keep) {}

  bool Keeps(const v1::Job& job) {
    const bool is_old =
        job.has_end_time() && now_ - FromTimestamp(job.end_time()) >= keep_;
    if (is_old && !IsStillAskedFor(job)) return false;
    if (job.cache_hit()) asked_for_.insert(ResultKey(job));
    return true;
  }

 private:
  bool IsStillAskedFor(const v1::Job& job) const {
    return job.state() == v1::SUCCEEDED && !job.cache_hit() && asked_for_.contains(ResultKey(job));
  }
  const absl::Time now_;
  const absl::Duration keep_;
  absl::flat_hash_set<std::string> asked_for_;
};

}  // namespace

Collector::Collector(Options options, Store* store, const Clock* clock, ForgetJobs forget_jobs)
    : options_(std::move(options)),
      store_(store),
      clock_(clock),
      forget_jobs_(std::move(forget_jobs)),
      wall_at_start_(clock->Now()),
      monotonic_at_start_(clock->Monotonic()) {}

Collector::Pause::Pause(Collector* collector) : collector_(*collector) {
  absl::MutexLock lock(&collector_.mu_);
  auto is_free = [this]() ABSL_SHARED_LOCKS_REQUIRED(collector_.mu_) { return !collector_.busy_; };
  collector_.mu_.Await(absl::Condition(&is_free));
  collector_.busy_ = true;
}

Collector::Pause::~Pause() {
  absl::MutexLock lock(&collector_.mu_);
  collector_.busy_ = false;
}

absl::Time Collector::SteadyNow() const {
  return wall_at_start_ + (clock_->Monotonic() - monotonic_at_start_);
}

namespace {

// A blob with those who possess it.
struct Possessed {
  std::string sha256;
  int64_t size = 0;
  std::vector<BlobStore::Unneeded> owners;  // `since` 0: no note
};

// Hands over all blobs, one by one.
absl::Status ForEachPossessed(Connection& connection,
                              absl::FunctionRef<absl::Status(const Possessed&)> use) {
  Statement& rows = connection.Prepare(
      "SELECT b.sha256, b.size, p.tenant, p.unneeded_since FROM blob AS b "
      "LEFT JOIN possession AS p ON p.sha256 = b.sha256 ORDER BY b.sha256");
  Possessed blob;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!blob.sha256.empty() && (!found || rows.Text(0) != blob.sha256)) {
      RETURN_IF_ERROR(use(blob));
      blob = {};
    }
    if (!found) return absl::OkStatus();
    blob.sha256 = std::string(rows.Text(0));
    blob.size = rows.Int(1);
    const std::string owner(rows.Text(2));
    // None at all: a worker's, until the note says so.
    blob.owners.push_back({owner.empty() ? kEveryTenant : owner, rows.Int(3)});
  }
}

}  // namespace

absl::StatusOr<Collector::Plan> Collector::Look(Stopped stopped) {
  Plan plan;
  const absl::Time steady = SteadyNow();
  const int64_t now = absl::ToUnixMicros(steady);
  Needs needs;
  int64_t rows = 0;
  auto go_on = [&] {
    return ++rows % kRowsPerStopCheck == 0 ? StopStatus(stopped) : absl::OkStatus();
  };
  JobsKept kept(std::min(steady, clock_->Now()), options_.keep_jobs);
  auto keeps_job = [&](const JobRow& row) -> absl::StatusOr<bool> {
    RETURN_IF_ERROR(go_on());
    if (kept.Keeps(row.job)) return true;
    plan.found.set_jobs(plan.found.jobs() + 1);
    plan.Push(plan.jobs, {{row.job.tenant(), row.job.id()}, row.events});
    return false;
  };
  auto decide = [&](const Possessed& blob) -> absl::Status {
    RETURN_IF_ERROR(go_on());
    BlobStore::Removal removal{.sha256 = blob.sha256, .owners = {}};
    for (const BlobStore::Unneeded& owner : blob.owners) {
      const bool needed = needs.Has(owner.tenant, blob.sha256);
      // One of the future: the clock was set back.
      const bool noted = owner.since != 0 && owner.since <= now;
      if (needed ? owner.since != 0 : !noted) {
        plan.Push(plan.notes, {owner.tenant, blob.sha256, owner.since, needed ? 0 : now});
      } else if (!needed &&
                 steady - absl::FromUnixMicros(owner.since) >= options_.keep_blobs) {
        removal.owners.push_back(owner);
      }
    }
    if (removal.owners.empty()) return absl::OkStatus();
    if (removal.owners.size() == blob.owners.size()) {
      if (needs.AnyHas(blob.sha256)) return absl::OkStatus();
      plan.found.set_blobs(plan.found.blobs() + 1);
      plan.found.set_bytes(plan.found.bytes() + blob.size);
    }
    plan.Push(plan.removals, std::move(removal));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(store_->database->Read([&](Connection& connection) -> absl::Status {
    RETURN_IF_ERROR(ReadNeeds(connection, keeps_job, needs));
    ASSIGN_OR_RETURN(const int64_t memos,
                     Keepsakes(&connection).CountMemosUnusedSince(OldestMemoKept()));
    plan.found.set_memos(memos);
    return ForEachPossessed(connection, decide);
  }));
  return plan;
}

absl::Time Collector::OldestMemoKept() const {
  return std::min(SteadyNow(), clock_->Now()) - options_.keep_memos;
}

void Collector::RemoveState(const std::string& sha256) {
  {
    absl::MutexLock lock(&mu_);
    if (busy_) return;
    busy_ = true;
  }
  const BlobStore::Removal removal{.sha256 = sha256,
                                   .owners = {{kEveryTenant, kStateUnneededSince}}};
  const absl::Status removed = store_->blobs->Remove({removal}).status();
  if (!removed.ok()) Log(LogLevel::kWarning, "state_stays", {{"error", removed.ToString()}});
  absl::MutexLock lock(&mu_);
  busy_ = false;
}

absl::Status Collector::Forget(const Plan& plan, Stopped stopped) {
  if (plan.found.memos() > 0) {
    RETURN_IF_ERROR(store_->database->Write([&](Connection& connection) {
      return Keepsakes(&connection).DropMemosUnusedSince(OldestMemoKept());
    }));
  }
  for (size_t at = 0; at < plan.jobs.size();) {
    RETURN_IF_ERROR(StopStatus(stopped));
    std::vector<JobKey> keys;
    for (int64_t events = 0;
         at < plan.jobs.size() && keys.size() < kJobsPerWrite && events < kEventsPerWrite; ++at) {
      keys.push_back(plan.jobs[at].key);
      events += plan.jobs[at].events;
    }
    RETURN_IF_ERROR(forget_jobs_(keys));
  }
  return absl::OkStatus();
}

absl::Status Collector::Note(const Plan& plan, Stopped stopped) {
  for (size_t begin = 0; begin < plan.notes.size(); begin += kRowsPerWrite) {
    RETURN_IF_ERROR(StopStatus(stopped));
    const size_t end = std::min(begin + kRowsPerWrite, plan.notes.size());
    RETURN_IF_ERROR(store_->database->Write([&](Connection& connection) -> absl::Status {
      for (size_t i = begin; i < end; ++i) {
        const Plan::Change& change = plan.notes[i];
        RETURN_IF_ERROR(
            connection
                .Prepare("INSERT INTO possession (tenant, sha256, unneeded_since) "
                         "VALUES (?1, ?2, ?3) ON CONFLICT (tenant, sha256) "
                         "DO UPDATE SET unneeded_since = ?3 WHERE unneeded_since = ?4")
                .Bind(1, change.tenant)
                .Bind(2, change.sha256)
                .Bind(3, change.to)
                .Bind(4, change.from)
                .Run());
      }
      return absl::OkStatus();
    }));
  }
  return absl::OkStatus();
}

absl::Status Collector::Remove(const Plan& plan, Stopped stopped,
                               v1::CollectResponse& collected) {
  for (size_t begin = 0; begin < plan.removals.size(); begin += kRowsPerWrite) {
    RETURN_IF_ERROR(StopStatus(stopped));
    const size_t end = std::min(begin + kRowsPerWrite, plan.removals.size());
    ASSIGN_OR_RETURN(const BlobStore::Removed removed,
                     store_->blobs->Remove({plan.removals.begin() + static_cast<ptrdiff_t>(begin),
                                            plan.removals.begin() + static_cast<ptrdiff_t>(end)}));
    collected.set_blobs(collected.blobs() + removed.blobs);
    collected.set_bytes(collected.bytes() + removed.bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::CollectResponse> Collector::Collect(bool validate_only, Stopped stopped) {
  const Pause alone(this);
  v1::CollectResponse collected;
  RETURN_IF_ERROR(StopStatus(stopped));
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(const Plan plan, Look(stopped));
    if (validate_only) return plan.found;
    more = plan.more;
    RETURN_IF_ERROR(Forget(plan, stopped));
    collected.set_jobs(collected.jobs() + static_cast<int64_t>(plan.jobs.size()));
    collected.set_memos(collected.memos() + plan.found.memos());
    RETURN_IF_ERROR(Note(plan, stopped));
    RETURN_IF_ERROR(Remove(plan, stopped, collected));
  }
  RETURN_IF_ERROR(store_->blobs->SweepFiles(stopped));
  RETURN_IF_ERROR(store_->blobs->SweepUploads());
  options_.on_collected(collected);
  return collected;
}

}  // namespace radiograph
