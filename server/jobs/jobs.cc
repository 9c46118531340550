#include "server/jobs/jobs.h"

#include <limits>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/digest.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "google/rpc/code.pb.h"
#include "server/jobs/lease_desk.h"
#include "server/jobs/lifecycle.h"
#include "server/jobs/waits.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

constexpr int kJobIdBytes = 10;

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

absl::StatusOr<v1::CreateJobResponse> Repeat(const JobRow& row,
                                             const v1::CreateJobRequest& request) {
  if (row.request_digest != RequestDigest(request)) {
    return absl::AlreadyExistsError(absl::StrCat("request_id ", request.request_id(), " made job ",
                                                 row.job.id(),
                                                 " from another request; use a new one"));
  }
  return ResponseFor(row);
}

v1::Job NewJob(const v1::CreateJobRequest& request, v1::Job job) {
  job.set_request_id(request.request_id());
  job.set_device_kind(request.device_kind());
  *job.mutable_labels() = request.labels();
  job.set_state(v1::QUEUED);
  return job;
}

// The job ends as it begins, with the result of another and the attempt that made it.
void AnswerFromCache(const v1::Job& cached, v1::Job& job) {
  job.set_state(v1::SUCCEEDED);
  job.set_cache_hit(true);
  job.set_progress(1);
  *job.mutable_result() = cached.result();
  job.set_result_digest(cached.result_digest());
  *job.add_attempts() = *cached.attempts().rbegin();
}

// Waits for a change that `submit` is to hand to the store.
absl::StatusOr<JobStore::Changed> Await(absl::FunctionRef<void(JobStore::Done)> submit) {
  absl::StatusOr<JobStore::Changed> result;
  absl::Notification done;
  submit([&](absl::StatusOr<JobStore::Changed> changed) {
    result = std::move(changed);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Jobs>> Jobs::Open(JobsOptions options, Store* store,
                                                 const Clock* clock, Errands* errands,
                                                 JobsObserver observer) {
  std::unique_ptr<Jobs> jobs(new Jobs(options, store, clock, errands, std::move(observer)));
  ASSIGN_OR_RETURN(auto counts, store->jobs.CountByState());
  {
    absl::MutexLock lock(&jobs->mu_);
    jobs->counts_ = std::move(counts);
  }
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
          [this](const JobStore::Changed& changed) { Changed(changed); })) {}

Jobs::~Jobs() { Shutdown(); }

void Jobs::Shutdown() {
  waits_->Shutdown();
  desk_->Shutdown();
}

absl::Status Jobs::TakeUpRunning() {
  std::vector<JobRow> running;
  RETURN_IF_ERROR(
      store_->jobs.ForEach(v1::RUNNING, [&](JobRow row) { running.push_back(std::move(row)); }));
  for (const JobRow& row : running) {
    if (!row.embedded) {
      ASSIGN_OR_RETURN(std::string request, store_->jobs.RequestText(row.job.id()));
      desk_->Restore(row, std::move(request));
      continue;
    }
    v1::AttemptReport report;
    report.set_outcome("PREEMPTED");
    report.mutable_error()->set_code(google::rpc::ABORTED);
    report.mutable_error()->set_message("the server stopped while its own worker ran this");
    auto end = [&](JobRow& changed, v1::JobEvent& event) {
      RETURN_IF_ERROR(EndAttempt(changed.job, report, clock_->Now()));
      event = EventOf(changed.job, clock_->Now(), report.error().message());
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(Change(row.job.id(), end).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<JobStore::Changed> Jobs::Change(const std::string& id, JobStore::Mutate mutate) {
  return Await([&](JobStore::Done done) {
    store_->jobs.Change(id, std::move(mutate),
                        [&, done](absl::StatusOr<JobStore::Changed> changed) {
                          if (changed.ok()) Changed(*changed);
                          done(std::move(changed));
                        });
  });
}

absl::StatusOr<JobStore::Changed> Jobs::Insert(JobRow row, std::string request) {
  const v1::JobEvent event =
      EventOf(row.job, clock_->Now(), row.job.cache_hit() ? "answered from the cache" : "created");
  return Await([&](JobStore::Done done) {
    store_->jobs.Insert(std::move(row), event, std::move(request),
                        [&, done](absl::StatusOr<JobStore::Changed> made) {
                          const bool is_new =
                              made.ok() && made->before == v1::JOB_STATE_UNSPECIFIED;
                          if (is_new) Changed(*made);
                          done(std::move(made));
                        });
  });
}

void Jobs::Changed(const JobStore::Changed& changed) {
  const v1::Job& job = changed.row.job;
  if (changed.before != job.state()) {
    absl::MutexLock lock(&mu_);
    if (changed.before != v1::JOB_STATE_UNSPECIFIED) --counts_[changed.before];
    ++counts_[job.state()];
  }
  waits_->JobChanged(changed.row);
  if (changed.before == v1::JOB_STATE_UNSPECIFIED) observer_.created(job);
  if (changed.before == job.state()) return;
  if (job.state() == v1::QUEUED) {
    if (changed.before == v1::RUNNING) observer_.requeued(job);
    desk_->JobQueued(changed.row);
  } else if (IsFinal(job.state())) {
    const absl::Time made = FromTimestamp(job.create_time()), end = FromTimestamp(job.end_time());
    const bool ran = changed.before == v1::RUNNING;
    const absl::Time leased = ran ? FromTimestamp(job.attempts().rbegin()->lease_time()) : end;
    observer_.finished(job, leased - made, end - leased);
  }
}

absl::StatusOr<std::optional<v1::CreateJobResponse>> Jobs::FindRepeated(
    const v1::CreateJobRequest& request) {
  if (request.request_id().empty() || request.validate_only()) return std::nullopt;
  ASSIGN_OR_RETURN(std::optional<JobRow> row, store_->jobs.FindRequest(request.request_id()));
  if (!row) return std::nullopt;
  Fill(*row);
  ASSIGN_OR_RETURN(v1::CreateJobResponse response, Repeat(*row, request));
  return response;
}

// A success whose result has lost a blob is as good as none: the work is done again.
absl::StatusOr<std::optional<v1::Job>> Jobs::FindCached(const v1::CreateJobRequest& request,
                                                        const v1::Job& job) {
  if (request.cache() != v1::USE) return std::nullopt;
  ASSIGN_OR_RETURN(std::optional<v1::Job> cached,
                   store_->jobs.FindCached(job.cache_key(), request.device_kind()));
  if (!cached) return std::nullopt;
  ASSIGN_OR_RETURN(bool whole, store_->blobs->HoldsAll(cached->result()));
  if (!whole) cached.reset();
  return cached;
}

absl::Status Jobs::ReserveQueuePlace() {
  absl::MutexLock lock(&mu_);
  if (counts_[v1::QUEUED] + creating_ >= options_.queued_jobs_max) {
    return absl::ResourceExhaustedError(absl::StrCat(
        options_.queued_jobs_max, " jobs are queued, and no more may be; try again later"));
  }
  ++creating_;
  return absl::OkStatus();
}

absl::StatusOr<v1::CreateJobResponse> Jobs::Create(const v1::CreateJobRequest& request,
                                                   ResolvedJob resolved) {
  ASSIGN_OR_RETURN(std::optional<v1::CreateJobResponse> repeated, FindRepeated(request));
  if (repeated) return *std::move(repeated);
  JobRow row;
  row.job = NewJob(request, std::move(resolved.job));
  row.memory_bytes = resolved.planned_memory_bytes;
  row.request_digest = RequestDigest(request);
  ASSIGN_OR_RETURN(std::optional<v1::Job> cached, FindCached(request, row.job));
  if (cached) AnswerFromCache(*cached, row.job);
  if (!cached && request.cache() != v1::BYPASS) row.cacheable = row.job.cache_key();
  v1::CreateJobResponse response = ResponseFor(row);
  response.set_planned_seconds(resolved.planned_seconds);
  *response.mutable_notes() = {resolved.notes.begin(), resolved.notes.end()};
  if (request.validate_only()) return response;

  row.job.set_id(RandomHex(kJobIdBytes));
  *row.job.mutable_create_time() = ToTimestamp(clock_->Now());
  if (cached) *row.job.mutable_end_time() = row.job.create_time();
  if (!cached) RETURN_IF_ERROR(ReserveQueuePlace());
  absl::StatusOr<JobStore::Changed> made = Insert(std::move(row), std::move(resolved.request));
  if (!cached) {
    absl::MutexLock lock(&mu_);
    --creating_;
  }
  RETURN_IF_ERROR(made.status());
  if (made->before != v1::JOB_STATE_UNSPECIFIED) return Repeat(made->row, request);
  Fill(made->row);
  *response.mutable_job() = std::move(made->row.job);
  return response;
}

void Jobs::Fill(JobRow& row) {
  if (row.job.state() == v1::QUEUED) row.job.set_pending_reason(desk_->PendingReason(row));
  if (row.job.state() != v1::RUNNING) return;
  if (auto progress = desk_->LatestProgress(row.job.id())) {
    row.job.set_progress(progress->fraction());
    row.job.set_phase(progress->phase());
  }
}

absl::StatusOr<v1::Job> Jobs::Get(const std::string& id) {
  ASSIGN_OR_RETURN(JobRow row, store_->jobs.Get(id));
  Fill(row);
  return std::move(row.job);
}

absl::StatusOr<v1::ListJobsResponse> Jobs::List(const v1::ListJobsRequest& request) {
  return store_->jobs.List(request, [this](JobRow& row) { Fill(row); });
}

absl::StatusOr<v1::Job> Jobs::Cancel(const std::string& id) {
  absl::StatusOr<JobStore::Changed> changed = Change(id, [this](JobRow& row, v1::JobEvent& event) {
    if (IsFinal(row.job.state()) || row.job.cancel_requested()) return absl::OkStatus();
    RETURN_IF_ERROR(RequestCancel(row.job, clock_->Now()));
    event = EventOf(row.job, clock_->Now(), "cancel requested");
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(changed.status());
  if (changed->row.job.state() == v1::RUNNING) desk_->CancelRequested(id);
  Fill(changed->row);
  return std::move(changed->row.job);
}

absl::StatusOr<Jobs::EventPage> Jobs::Events(const std::string& id, int64_t after_sequence,
                                             int64_t limit) {
  EventPage page;
  ASSIGN_OR_RETURN(JobRow row, store_->jobs.Get(id));
  ASSIGN_OR_RETURN(page.events, store_->jobs.Events(id, after_sequence, limit));
  const int64_t last = page.events.empty() ? after_sequence : page.events.back().sequence();
  page.ended = IsFinal(row.job.state()) && last >= row.events;
  return page;
}

void Jobs::WhenChanged(const std::string& id, int64_t after_sequence, absl::Duration timeout,
                       std::stop_token stop, WaitDone done) {
  waits_->Wait(id, after_sequence, timeout, std::move(stop), std::move(done));
}

void Jobs::WhenEnded(const std::string& id, absl::Duration timeout, std::stop_token stop,
                     WaitDone done) {
  waits_->Wait(id, std::numeric_limits<int64_t>::max(), timeout, std::move(stop), std::move(done));
}

void Jobs::Synchronize(v1::SynchronizeRequest request, bool embedded, std::stop_token stop,
                       SynchronizeDone done) {
  desk_->Synchronize(std::move(request), embedded, std::move(stop), std::move(done));
}

v1::ListWorkersResponse Jobs::ListWorkers() { return desk_->ListWorkers(); }

absl::StatusOr<JobsSnapshot> Jobs::Snapshot() {
  JobsSnapshot snapshot;
  ASSIGN_OR_RETURN(absl::Time oldest, store_->jobs.OldestQueued());
  if (oldest != absl::InfiniteFuture()) snapshot.oldest_queued_age = clock_->Now() - oldest;
  snapshot.slots = desk_->CountSlots();
  absl::MutexLock lock(&mu_);
  snapshot.jobs = counts_;
  return snapshot;
}

}  // namespace radiograph
