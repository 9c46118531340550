#include "server/http/server_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace radiograph {
namespace {

using ::testing::Contains;
using ::testing::Pair;

// By name and labels.
std::map<std::string, double> Values(const std::string& text) {
  std::map<std::string, double> values;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (line[0] == '#') continue;
    const size_t space = line.rfind(' ');
    EXPECT_TRUE(
        absl::SimpleAtod(line.substr(space + 1), &values[std::string(line.substr(0, space))]))
        << line;
  }
  return values;
}

v1::Job Ended(v1::JobState state, int code = 0) {
  v1::Job job;
  job.set_state(state);
  job.mutable_error()->set_code(code);
  return job;
}

TEST(ServerMetrics, CountsWhatHappensToJobs) {
  ServerMetrics metrics("1.2.3", "abc");
  const JobsObserver observer = metrics.Observer();
  v1::Job hit;
  hit.set_cache_hit(true);
  observer.created(v1::Job());
  observer.created(hit);
  observer.requeued(v1::Job());
  observer.mismatched(v1::Job());
  observer.finished(Ended(v1::SUCCEEDED), absl::Milliseconds(20), absl::Seconds(2));
  observer.finished(Ended(v1::FAILED, 3), absl::Seconds(3), absl::Seconds(4));
  const auto values = Values(metrics.Text(JobsSnapshot(), {}));
  EXPECT_THAT(values, Contains(Pair("radiograph_jobs_created_total", 2)));
  EXPECT_THAT(values, Contains(Pair("radiograph_cache_hits_total", 1)));
  EXPECT_THAT(values, Contains(Pair("radiograph_jobs_requeued_total", 1)));
  EXPECT_THAT(values, Contains(Pair("radiograph_result_mismatch_total", 1)));
  EXPECT_THAT(
      values,
      Contains(Pair(R"(radiograph_jobs_finished_total{outcome="succeeded",reason="OK"})", 1)));
  EXPECT_THAT(
      values,
      Contains(
          Pair(R"(radiograph_jobs_finished_total{outcome="failed",reason="InvalidArgument"})", 1)));
  EXPECT_THAT(values, Contains(Pair(R"(radiograph_job_run_seconds_bucket{le="2.5"})", 1)));
  EXPECT_THAT(values, Contains(Pair("radiograph_job_queue_wait_seconds_sum", 3.02)));
  EXPECT_THAT(values, Contains(Pair(R"(radiograph_build_info{build="abc",version="1.2.3"})", 1)));
}

TEST(ServerMetrics, CountsWhatCollectionsTake) {
  ServerMetrics metrics("1", "b");
  v1::CollectResponse collected;
  collected.set_jobs(3);
  collected.set_memos(1);
  collected.set_blobs(2);
  collected.set_bytes(100);
  metrics.Collected(collected, absl::FromUnixSeconds(7));
  metrics.Collected(collected, absl::FromUnixSeconds(8));
  const auto values = Values(metrics.Text(JobsSnapshot(), {}));
  EXPECT_THAT(values, Contains(Pair("radiograph_collected_jobs_total", 6)));
  EXPECT_THAT(values, Contains(Pair("radiograph_collected_memos_total", 2)));
  EXPECT_THAT(values, Contains(Pair("radiograph_collected_blobs_total", 4)));
  EXPECT_THAT(values, Contains(Pair("radiograph_collected_bytes_total", 200)));
  EXPECT_THAT(values, Contains(Pair("radiograph_last_collection_timestamp_seconds", 8)));
}

TEST(ServerMetrics, EveryStateHasAValue) {
  ServerMetrics metrics("1", "b");
  JobsSnapshot snapshot;
  snapshot.jobs[v1::QUEUED] = 4;
  snapshot.slots[v1::BUSY] = 2;
  snapshot.oldest_queued_age = absl::Seconds(90);
  const auto values = Values(metrics.Text(snapshot, {.blob_bytes = 1000, .disk_free_bytes = 2000}));
  EXPECT_THAT(values, Contains(Pair(R"(radiograph_jobs{state="queued"})", 4)));
  EXPECT_THAT(values, Contains(Pair(R"(radiograph_jobs{state="failed"})", 0)));
  EXPECT_THAT(values, Contains(Pair(R"(radiograph_slots{state="busy"})", 2)));
  EXPECT_THAT(values, Contains(Pair(R"(radiograph_slots{state="idle"})", 0)));
  EXPECT_THAT(values, Contains(Pair("radiograph_oldest_queued_age_seconds", 90)));
  EXPECT_THAT(values, Contains(Pair("radiograph_blob_bytes", 1000)));
}

TEST(ServerMetrics, RefusalsAreCountedByLimitAndNothingElseBecomesALabel) {
  ServerMetrics metrics("1", "b");
  metrics.Exhausted("QUEUED_JOBS_PER_TENANT");
  metrics.Exhausted("QUEUED_JOBS_PER_TENANT");
  metrics.Exhausted("");
  metrics.Exhausted("SOMETHING_ELSE");
  const auto values = Values(metrics.Text(JobsSnapshot(), {.disk_free_bytes = 2000}));
  EXPECT_THAT(values,
              Contains(Pair(R"(radiograph_exhausted_total{limit="queued_jobs_per_tenant"})", 2)));
  EXPECT_THAT(values, Contains(Pair(R"(radiograph_exhausted_total{limit="disk_space"})", 0)));
  EXPECT_THAT(values, Contains(Pair(R"(radiograph_exhausted_total{limit="other"})", 2)));
  EXPECT_THAT(values, Contains(Pair("radiograph_disk_free_bytes", 2000)));
}

TEST(ProcessMetrics, AreThoseOfThisProcess) {
  ServerMetrics metrics("1", "b");
  const auto values = Values(metrics.Text(JobsSnapshot(), {}));
  EXPECT_GT(values.at("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GT(values.at("process_virtual_memory_bytes"), values.at("process_resident_memory_bytes"));
  EXPECT_GE(values.at("process_threads"), 1);
  EXPECT_GE(values.at("process_open_fds"), 3);
  EXPECT_GE(values.at("process_max_fds"), values.at("process_open_fds"));
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_LE(values.at("process_start_time_seconds"), now);
  EXPECT_GT(values.at("process_start_time_seconds"), now - 600) << "the test just began";
}

TEST(ServerMetrics, ACacheHitNeitherWaitsNorRuns) {
  ServerMetrics metrics("1", "b");
  v1::Job hit = Ended(v1::SUCCEEDED);
  hit.set_cache_hit(true);
  metrics.Observer().finished(hit, absl::ZeroDuration(), absl::ZeroDuration());
  const auto values = Values(metrics.Text(JobsSnapshot(), {}));
  EXPECT_THAT(values, Contains(Pair("radiograph_job_run_seconds_count", 0)));
  EXPECT_THAT(values, Contains(Pair("radiograph_job_queue_wait_seconds_count", 0)));
}

}  // namespace
}  // namespace radiograph
