#include "server/jobs/jobs.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/digest.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "google/rpc/code.pb.h"
#include "server/jobs/lease_desk.h"
#include "server/jobs/lifecycle.h"
#include "server/jobs/merging.h"
#include "server/jobs/waits.h"
#include "server/store/messages.h"
#include "server/store/quota.h"

namespace radiograph {
namespace {

constexpr int kJobIdBytes = 10;
constexpr absl::Duration kQueueRetry = absl::Seconds(1);  // a job may have ended by then

std::string RequestDigest(v1::CreateJobRequest request) {
  request.clear_validate_only();
  return Sha256Hex(DeterministicBytes(request));
}

v1::CreateJobResponse ResponseFor(const JobRow& row) {
  v1::CreateJobResponse response;
  *response.mutable_job() = row.job;
  response.set_cache_key(row.job.cache_key());
  response.set_cache_hit(row.job.cache_hit());
  response.set_planned_memory_bytes(row.memory_bytes);
  return response;
}

absl::Status CheckRepeat(const JobRow& row, const std::string& request_id,
                         const std::string& request_digest) {
  if (row.request_digest == request_digest) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat("request_id ", request_id, " made job ",
                                               row.job.id(),
                                               " from another request; use a new one"));
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

v1::Job NewJob(const v1::CreateJobRequest& request, v1::Job job, absl::Time now) {
  job.set_request_id(request.request_id());
  job.set_device_kind(request.device_kind());
  *job.mutable_labels() = request.labels();
  job.set_priority(request.priority());
  job.set_max_attempts(request.max_attempts());
  if (request.has_not_before()) *job.mutable_not_before() = request.not_before();
  if (request.has_timeout()) {
    *job.mutable_deadline() = ToTimestamp(now + FromProto(request.timeout()));
  }
  *job.mutable_create_time() = ToTimestamp(now);
  job.set_state(v1::QUEUED);
  return job;
}

// The job that does the work of `old` over again. Its time-out begins anew.
v1::Job AgainOf(const v1::Job& old, const std::string& request_id, absl::Time now) {
  v1::Job job;
  job.set_analysis(old.analysis());
  job.set_analysis_version(old.analysis_version());
  *job.mutable_inputs() = old.inputs();
  *job.mutable_params() = old.params();
  job.set_seed(old.seed());
  job.set_request_id(request_id);
  job.set_cache_key(old.cache_key());
  *job.mutable_labels() = old.labels();
  job.set_device_kind(old.device_kind());
  job.set_tenant(old.tenant());
  job.set_priority(old.priority());
  job.set_max_attempts(old.max_attempts());
  if (old.has_deadline()) {
    *job.mutable_deadline() =
        ToTimestamp(now + (FromTimestamp(old.deadline()) - FromTimestamp(old.create_time())));
  }
  job.set_retry_of(old.id());
  *job.mutable_create_time() = ToTimestamp(now);
  job.set_state(v1::QUEUED);
  return job;
}

auto HoldsAllOf(Store* store) {
  return [store](const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files) {
    return store->blobs->HoldsAll(files);
  };
}

std::string RetryDigest(const std::string& id) { return Sha256Hex(absl::StrCat("retry ", id)); }

}  // namespace

absl::StatusOr<std::unique_ptr<Jobs>> Jobs::Open(JobsOptions options, Store* store,
                                                 const Clock* clock, Errands* errands,
                                                 JobsObserver observer) {
  std::unique_ptr<Jobs> jobs(new Jobs(options, store, clock, errands, std::move(observer)));
  ASSIGN_OR_RETURN(auto counts, store->jobs.Count());
  {
    absl::MutexLock lock(&jobs->mu_);
    jobs->counts_ = std::move(counts);
  }
  RETURN_IF_ERROR(jobs->TakeUpQueued());
  RETURN_IF_ERROR(jobs->TakeUpRunning());
  return jobs;
}

Jobs::Jobs(JobsOptions options, Store* store, const Clock* clock, Errands* errands,
           JobsObserver observer)
    : options_(options),
      store_(store),
      clock_(clock),
      observer_(std::move(observer)),
      waits_(std::make_unique<Waits>(&store->jobs, clock, errands)),
      desk_(std::make_shared<LeaseDesk>(
          options_, &store->jobs, clock, errands,
          [this](const std::vector<JobChange>& changes) { Changed(changes); })) {}

Jobs::~Jobs() { Shutdown(); }

void Jobs::Shutdown() {
  waits_->Shutdown();
  desk_->Shutdown();
}

absl::Status Jobs::TakeUpQueued() {
  std::vector<JobRow> merged;  // told of after those whose run they share
  RETURN_IF_ERROR(store_->jobs.ForEach(v1::QUEUED, [&](JobRow row) {
    desk_->WatchDeadline(row.job);
    if (!row.job.merged_into().empty()) return merged.push_back(std::move(row));
    desk_->JobQueued(row);
  }));
  for (const JobRow& row : merged) desk_->JobQueued(row);
  return absl::OkStatus();
}

absl::Status Jobs::TakeUpRunning() {
  std::vector<JobRow> running;
  RETURN_IF_ERROR(
      store_->jobs.ForEach(v1::RUNNING, [&](JobRow row) { running.push_back(std::move(row)); }));
  v1::AttemptReport report;
  report.set_outcome("PREEMPTED");
  report.mutable_error()->set_code(google::rpc::ABORTED);
  report.mutable_error()->set_message("the server stopped while its own worker ran this");
  for (const JobRow& row : running) {
    desk_->WatchDeadline(row.job);
    if (!row.embedded) {
      ASSIGN_OR_RETURN(std::string request, store_->jobs.RequestText(row));
      desk_->Restore(row, std::move(request));
      continue;
    }
    RETURN_IF_ERROR(Transact([&](JobTransaction& transaction) -> absl::Status {
                      ASSIGN_OR_RETURN(JobRow now, transaction.GetLeased(row.lease_token));
                      return EndLeased(transaction, std::move(now), report, options_.backoff,
                                       clock_->Now());
                    }).status());
  }
  return absl::OkStatus();
}

JobStore::Changes Jobs::Transact(JobStore::Body body) {
  JobStore::Changes result;
  absl::Notification done;
  store_->jobs.Transact(std::move(body), [&](JobStore::Changes changes) {
    if (changes.ok()) Changed(*changes);
    result = std::move(changes);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

void Jobs::Changed(const std::vector<JobChange>& changes) {
  for (const JobChange& change : changes) Changed(change);
}

void Jobs::Count(const JobChange& change) {
  const v1::Job& job = change.row.job;
  if (change.before == job.state()) return;
  absl::MutexLock lock(&mu_);
  if (change.before != v1::JOB_STATE_UNSPECIFIED) --counts_[{job.tenant(), change.before}];
  ++counts_[{job.tenant(), job.state()}];
}

void Jobs::Changed(const JobChange& change) {
  const v1::Job& job = change.row.job;
  const bool is_new = change.before == v1::JOB_STATE_UNSPECIFIED;
  Count(change);
  waits_->JobChanged(change.row);
  if (is_new) observer_.created(job);
  if (is_new && !IsFinal(job.state())) desk_->WatchDeadline(job);
  if (job.state() == v1::QUEUED) {
    if (change.before == v1::RUNNING) observer_.requeued(job);
    desk_->JobQueued(change.row);
  } else if (job.state() == v1::RUNNING) {
    // Out of the queue without a claim: the run was another's.
    if (change.before == v1::QUEUED) desk_->TookOver(change.row);
    if (job.cancel_requested() || job.deadline_exceeded()) desk_->StopRequested(job.id());
  }
  if (!IsFinal(job.state()) || change.before == job.state()) return;
  desk_->JobLeftQueue(job.id());
  desk_->ForgetDeadline(job.id());
  if (!job.differs_from().empty()) observer_.mismatched(job);
  const absl::Time made = FromTimestamp(job.create_time()), end = FromTimestamp(job.end_time());
  const bool ran = change.before == v1::RUNNING;
  const absl::Time leased = ran ? FromTimestamp(job.attempts().rbegin()->lease_time()) : end;
  observer_.finished(job, leased - made, end - leased);
}

absl::StatusOr<std::optional<v1::CreateJobResponse>> Jobs::FindRepeated(
    const std::string& tenant, const v1::CreateJobRequest& request) {
  if (request.request_id().empty() || request.validate_only()) return std::nullopt;
  ASSIGN_OR_RETURN(std::optional<JobRow> row,
                   store_->jobs.FindRequest(tenant, request.request_id()));
  if (!row) return std::nullopt;
  RETURN_IF_ERROR(CheckRepeat(*row, request.request_id(), RequestDigest(request)));
  Fill(*row);
  return ResponseFor(*row);
}

absl::Status Jobs::ReserveQueuePlace(const std::string& tenant) {
  absl::MutexLock lock(&mu_);
  int64_t all = 0, own = creating_[tenant];
  for (const auto& [name, creating] : creating_) all += creating;
  for (const auto& [of, count] : counts_) {
    if (of.second != v1::QUEUED) continue;
    all += count;
    if (of.first == tenant) own += count;
  }
  struct {
    Quota quota;
    int64_t used, limit;
  } const limits[] = {{Quota::kQueuedJobsPerTenant, own, options_.queued_jobs_per_tenant_max},
                      {Quota::kQueuedJobs, all, options_.queued_jobs_max}};
  for (const auto& [quota, used, limit] : limits) {
    if (limit == 0 || used < limit) continue;
    const bool is_own = quota == Quota::kQueuedJobsPerTenant;
    return QuotaExceeded(
        {.quota = quota,
         .tenant = is_own ? tenant : "",
         .text = absl::StrCat(used, " jobs ", is_own ? absl::StrCat("of tenant ", tenant, " ") : "",
                              "are queued, of at most ", limit),
         .retry = kQueueRetry});
  }
  ++creating_[tenant];
  return absl::OkStatus();
}

absl::StatusOr<v1::Job> Jobs::Insert(JobRow row, v1::CacheMode cache, std::string request) {
  const std::string tenant = row.job.tenant(), request_id = row.job.request_id();
  const std::string digest = row.request_digest;
  RETURN_IF_ERROR(store_->blobs->space().CheckSmall());
  RETURN_IF_ERROR(ReserveQueuePlace(tenant));
  row.job.set_id(RandomHex(kJobIdBytes));
  std::optional<JobRow> earlier;
  JobStore::Changes changes = Transact([&](JobTransaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(earlier, transaction.FindRequest(tenant, request_id));
    if (earlier) return absl::OkStatus();
    return InsertJob(transaction, row, cache, request, HoldsAllOf(store_), clock_->Now());
  });
  {
    absl::MutexLock lock(&mu_);
    --creating_[tenant];
  }
  RETURN_IF_ERROR(changes.status());
  if (earlier) RETURN_IF_ERROR(CheckRepeat(*earlier, request_id, digest));
  JobRow made = earlier ? *std::move(earlier) : std::move(changes->front().row);
  Fill(made);
  return std::move(made.job);
}

absl::StatusOr<v1::CreateJobResponse> Jobs::Create(const v1::CreateJobRequest& request,
                                                   ResolvedJob resolved) {
  JobRow row;
  row.job = NewJob(request, std::move(resolved.job), clock_->Now());
  ASSIGN_OR_RETURN(std::optional<v1::CreateJobResponse> repeated,
                   FindRepeated(row.job.tenant(), request));
  if (repeated) return *std::move(repeated);
  row.memory_bytes = resolved.planned_memory_bytes;
  row.planned_seconds = resolved.planned_seconds;
  row.request_digest = RequestDigest(request);
  if (request.cache() != v1::BYPASS) row.cacheable = row.job.cache_key();
  v1::CreateJobResponse response = ResponseFor(row);
  response.set_planned_seconds(resolved.planned_seconds);
  *response.mutable_notes() = {resolved.notes.begin(), resolved.notes.end()};
  if (request.validate_only()) {
    if (request.cache() != v1::USE) return response;
    RETURN_IF_ERROR(store_->jobs.Read([&](JobTransaction& transaction) -> absl::Status {
      ASSIGN_OR_RETURN(std::optional<v1::Job> cached,
                       FindCachedSuccess(transaction, row.job, HoldsAllOf(store_)));
      response.set_cache_hit(cached.has_value());
      return absl::OkStatus();
    }));
    return response;
  }
  ASSIGN_OR_RETURN(*response.mutable_job(),
                   Insert(std::move(row), request.cache(), std::move(resolved.request)));
  response.set_cache_hit(response.job().cache_hit());
  return response;
}

absl::StatusOr<v1::Job> Jobs::Retry(const JobKey& key, const std::string& request_id) {
  ASSIGN_OR_RETURN(JobRow old, store_->jobs.Get(key));
  if (old.job.state() != v1::FAILED && old.job.state() != v1::CANCELLED) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", key.id, " is ", v1::JobState_Name(old.job.state()),
                     "; one that FAILED or was CANCELLED can be done over again"));
  }
  ASSIGN_OR_RETURN(std::string request, store_->jobs.RequestText(old));
  JobRow row;
  row.job = AgainOf(old.job, request_id, clock_->Now());
  row.memory_bytes = old.memory_bytes;
  row.planned_seconds = old.planned_seconds;
  row.cacheable = old.cacheable;
  row.request_digest = RetryDigest(key.id);
  return Insert(std::move(row), old.cacheable.empty() ? v1::BYPASS : v1::USE, std::move(request));
}

void Jobs::Fill(JobRow& row) {
  if (IsFinal(row.job.state()) && options_.keep < absl::InfiniteDuration()) {
    *row.job.mutable_expire_time() = ToTimestamp(FromTimestamp(row.job.end_time()) + options_.keep);
  }
  if (row.job.state() == v1::QUEUED) row.job.set_pending_reason(desk_->PendingReason(row));
  if (row.job.state() != v1::RUNNING) return;
  if (auto progress = desk_->LatestProgress(row.job.id())) {
    row.job.set_progress(progress->fraction());
    row.job.set_phase(progress->phase());
  }
}

absl::StatusOr<v1::Job> Jobs::Get(const JobKey& key) {
  ASSIGN_OR_RETURN(JobRow row, store_->jobs.Get(key));
  Fill(row);
  return std::move(row.job);
}

absl::StatusOr<v1::ListJobsResponse> Jobs::List(const std::string& tenant,
                                                const v1::ListJobsRequest& request) {
  return store_->jobs.List(tenant, request, [this](JobRow& row) { Fill(row); });
}

absl::StatusOr<v1::Job> Jobs::Cancel(const JobKey& key) {
  JobStore::Changes changes = Transact([&](JobTransaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(JobRow row, transaction.Get(key));
    return StopJob(transaction, std::move(row), Happening::kCancelRequested, clock_->Now());
  });
  RETURN_IF_ERROR(changes.status());
  return Get(key);
}

absl::Status Jobs::Delete(const JobKey& key) {
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  RETURN_IF_ERROR(Transact([&](JobTransaction& transaction) -> absl::Status {
                    ASSIGN_OR_RETURN(JobRow row, transaction.Get(key));
                    state = row.job.state();
                    if (IsFinal(state)) return transaction.Delete(row);
                    return absl::FailedPreconditionError(absl::StrCat(
                        "job ", key.id, " is ", v1::JobState_Name(state), "; cancel it first"));
                  }).status());
  absl::MutexLock lock(&mu_);
  --counts_[{key.tenant, state}];
  return absl::OkStatus();
}

absl::Status Jobs::Forget(absl::Span<const JobKey> keys) {
  std::vector<std::pair<std::string, v1::JobState>> forgotten;
  RETURN_IF_ERROR(Transact([&](JobTransaction& transaction) -> absl::Status {
                    for (const JobKey& key : keys) {
                      absl::StatusOr<JobRow> row = transaction.Get(key);
                      if (absl::IsNotFound(row.status())) continue;  // somebody was quicker
                      RETURN_IF_ERROR(row.status());
                      if (!IsFinal(row->job.state())) continue;
                      RETURN_IF_ERROR(transaction.Delete(*row));
                      forgotten.emplace_back(key.tenant, row->job.state());
                    }
                    return absl::OkStatus();
                  }).status());
  absl::MutexLock lock(&mu_);
  for (const auto& of : forgotten) --counts_[of];
  return absl::OkStatus();
}

absl::StatusOr<Jobs::EventPage> Jobs::Events(const JobKey& key, int64_t after_sequence,
                                             int64_t limit) {
  ASSIGN_OR_RETURN(JobStore::EventPage stored, store_->jobs.Events(key, after_sequence, limit));
  EventPage page{.events = std::move(stored.events)};
  const int64_t last = page.events.empty() ? after_sequence : page.events.back().sequence();
  page.ended = IsFinal(stored.head.state) && last >= stored.head.events;
  return page;
}

void Jobs::WhenChanged(const JobKey& key, int64_t after_sequence, absl::Duration timeout,
                       std::stop_token stop, WaitDone done) {
  waits_->Wait(key, after_sequence, timeout, std::move(stop), std::move(done));
}

void Jobs::WhenEnded(const JobKey& key, absl::Duration timeout, std::stop_token stop,
                     WaitDone done) {
  waits_->Wait(key, std::numeric_limits<int64_t>::max(), timeout, std::move(stop), std::move(done));
}

void Jobs::Synchronize(v1::SynchronizeRequest request, bool embedded, std::stop_token stop,
                       SynchronizeDone done) {
  desk_->Synchronize(std::move(request), embedded, std::move(stop), std::move(done));
}

v1::ListWorkersResponse Jobs::ListWorkers(const std::string& tenant) {
  return desk_->ListWorkers(tenant);
}

absl::Status Jobs::Drain(const std::string& name, absl::Duration grace) {
  return desk_->Drain(name, grace);
}

absl::Status Jobs::Undrain(const std::string& name) { return desk_->Undrain(name); }

absl::StatusOr<JobsSnapshot> Jobs::Snapshot() {
  JobsSnapshot snapshot;
  ASSIGN_OR_RETURN(absl::Time oldest, store_->jobs.OldestQueued());
  if (oldest != absl::InfiniteFuture()) snapshot.oldest_queued_age = clock_->Now() - oldest;
  snapshot.slots = desk_->CountSlots();
  absl::MutexLock lock(&mu_);
  for (const auto& [of, count] : counts_) snapshot.jobs[of.second] += count;
  return snapshot;
}

int64_t Jobs::CountOf(const std::string& tenant, v1::JobState state) {
  absl::MutexLock lock(&mu_);
  auto found = counts_.find({tenant, state});
  return found == counts_.end() ? 0 : found->second;
}

}  // namespace radiograph
