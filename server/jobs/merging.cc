#include "server/jobs/merging.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/messages.h"

namespace radiograph {
namespace {

constexpr int64_t kSuccessesLookedAtMax = 16;  // of one work: by kind of device, or refreshed

bool SuitsDevice(const v1::Job& job, const v1::Engine& engine) {
  return job.device_kind().empty() || job.device_kind() == engine.device_kind();
}

bool SameEngine(const v1::Engine& a, const v1::Engine& b) {
  return DeterministicBytes(a) == DeterministicBytes(b);
}

// Whether the run of `first` will do for `job`.
bool CanShare(const v1::Job& first, const v1::Job& job) {
  if (first.cancel_requested() || first.deadline_exceeded()) return false;
  if (job.device_kind().empty() || job.device_kind() == first.device_kind()) return true;
  return first.state() == v1::RUNNING && SuitsDevice(job, first.attempts().rbegin()->engine());
}

// The job ends as it begins, with the result of another and the attempt that made it.
void AnswerFromCache(const v1::Job& cached, v1::Job& job, absl::Time now) {
  job.set_state(v1::SUCCEEDED);
  job.set_cache_hit(true);
  job.set_progress(1);
  *job.mutable_result() = cached.result();
  job.set_result_digest(cached.result_digest());
  *job.add_attempts() = *cached.attempts().rbegin();
  *job.mutable_end_time() = ToTimestamp(now);
}

// Notes an earlier result of the same work, by an equal engine, that has other bytes.
absl::Status CompareWithEarlier(JobTransaction& transaction, v1::Job& job) {
  ASSIGN_OR_RETURN(auto earlier,
                   transaction.FindCached(job.tenant(), job.cache_key(), kSuccessesLookedAtMax));
  for (const JobRow& row : earlier) {
    if (row.job.attempts().empty() || row.job.cache_hit()) continue;
    if (!SameEngine(row.job.attempts().rbegin()->engine(), job.attempts().rbegin()->engine())) {
      continue;
    }
    if (row.job.result_digest() != job.result_digest()) job.set_differs_from(row.job.id());
    break;
  }
  return absl::OkStatus();
}

// Gives the work of `left` to the oldest job merged into it, and the others to that one.
absl::Status HandOver(JobTransaction& transaction, const JobRow& left, const v1::Job& before,
                      std::vector<JobRow> merged, absl::Time now) {
  JobRow& heir = merged.front();
  if (before.state() == v1::RUNNING) {
    RETURN_IF_ERROR(TakeOver(heir.job, before));
    heir.lease_token = left.lease_token;
    heir.embedded = left.embedded;
  } else {
    heir.job.clear_merged_into();
  }
  const std::string text = absl::StrCat("goes on with the work of job ", left.job.id());
  RETURN_IF_ERROR(transaction.Put(heir, EventOf(heir.job, now, text)));
  for (size_t i = 1; i < merged.size(); ++i) {
    merged[i].job.set_merged_into(heir.job.id());
    RETURN_IF_ERROR(transaction.Put(std::move(merged[i])));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<v1::Job>> FindCachedSuccess(JobTransaction& transaction,
                                                         const v1::Job& job, HoldsAll holds_all) {
  ASSIGN_OR_RETURN(auto successes,
                   transaction.FindCached(job.tenant(), job.cache_key(), kSuccessesLookedAtMax));
  for (JobRow& row : successes) {
    if (row.job.attempts().empty()) continue;
    if (!SuitsDevice(job, row.job.attempts().rbegin()->engine())) continue;
    ASSIGN_OR_RETURN(bool whole, holds_all(row.job.result()));
    if (whole) return std::move(row.job);
  }
  return std::nullopt;
}

absl::Status InsertJob(JobTransaction& transaction, JobRow row, v1::CacheMode cache,
                       const std::string& request, HoldsAll holds_all, absl::Time now) {
  std::string text = "created";
  if (cache == v1::USE) {
    ASSIGN_OR_RETURN(std::optional<v1::Job> cached,
                     FindCachedSuccess(transaction, row.job, holds_all));
    if (cached) {
      AnswerFromCache(*cached, row.job, now);
      text = "answered from the cache";
      row.cacheable.clear();  // the job that made it is found
    } else {
      ASSIGN_OR_RETURN(std::optional<JobRow> first,
                       transaction.FindInFlight(row.job.tenant(), row.cacheable));
      if (first && CanShare(first->job, row.job)) {
        row.job.set_merged_into(first->job.id());
        text = absl::StrCat("merged into job ", first->job.id());
      }
    }
  }
  v1::JobEvent event = EventOf(row.job, now, text);
  return transaction.Insert(std::move(row), std::move(event), request);
}

absl::Status EndLeased(JobTransaction& transaction, JobRow row, const v1::AttemptReport& report,
                       const Backoff& backoff, absl::Time now) {
  RETURN_IF_ERROR(EndAttempt(row.job, report, backoff, now));
  if (row.job.state() == v1::SUCCEEDED) RETURN_IF_ERROR(CompareWithEarlier(transaction, row.job));
  const v1::Attempt& attempt = *row.job.attempts().rbegin();
  v1::JobEvent event =
      EventOf(row.job, now, absl::StrCat("attempt ", attempt.number(), ": ", attempt.outcome()));
  const v1::Job ended = row.job;
  RETURN_IF_ERROR(transaction.Put(std::move(row), std::move(event)));
  if (!IsFinal(ended.state())) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<JobRow> merged, transaction.MergedInto(ended.id()));
  for (JobRow& follower : merged) {
    RETURN_IF_ERROR(EndAs(follower.job, ended, now));
    v1::JobEvent end = EventOf(follower.job, now, absl::StrCat("as job ", ended.id()));
    RETURN_IF_ERROR(transaction.Put(std::move(follower), std::move(end)));
  }
  return absl::OkStatus();
}

absl::Status StopJob(JobTransaction& transaction, JobRow row, Happening why, absl::Time now) {
  const v1::Job before = row.job;
  if (IsFinal(before.state())) return absl::OkStatus();
  if (why == Happening::kCancelRequested && before.cancel_requested()) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<JobRow> merged, transaction.MergedInto(before.id()));
  RETURN_IF_ERROR(Stop(row.job, why, !merged.empty(), now));
  const JobRow left = row;
  if (!merged.empty()) {
    row.lease_token.clear();
    // What the run keeps is the heir's, before the end of this job would drop it.
    RETURN_IF_ERROR(transaction.keepsakes().MoveState(row.sequence, merged.front().sequence));
  }
  RETURN_IF_ERROR(transaction.Put(std::move(row), EventOf(left.job, now, NameOf(why))));
  if (merged.empty()) return absl::OkStatus();
  return HandOver(transaction, left, before, std::move(merged), now);
}

}  // namespace radiograph
