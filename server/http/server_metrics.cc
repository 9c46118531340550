#include "server/http/server_metrics.h"

#include <prometheus/text_serializer.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "server/rpc/rpc_metrics.h"
#include "server/store/quota.h"

namespace radiograph {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

prometheus::Counter& AddCounter(prometheus::Registry& registry, const char* name,
                                const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

prometheus::Histogram& AddHistogram(prometheus::Registry& registry, const char* name,
                                    const char* help) {
  const prometheus::Histogram::BucketBoundaries seconds = {
      0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 36000};
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, seconds);
}

MetricFamily Gauge(const char* name, const char* help) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  return family;
}

void Set(MetricFamily& family, double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

// Every state has a value, so that none comes and goes.
MetricFamily JobsByState(const JobsSnapshot& snapshot) {
  MetricFamily family = Gauge("radiograph_jobs", "Jobs in the store, by state.");
  for (int state = v1::QUEUED; state <= v1::CANCELLED; ++state) {
    auto found = snapshot.jobs.find(static_cast<v1::JobState>(state));
    Set(family, found == snapshot.jobs.end() ? 0 : static_cast<double>(found->second),
        {{"state", absl::AsciiStrToLower(v1::JobState_Name(state))}});
  }
  return family;
}

MetricFamily SlotsByState(const JobsSnapshot& snapshot) {
  MetricFamily family = Gauge("radiograph_slots", "Slots of workers that are heard of, by state.");
  for (int state = v1::IDLE; state <= v1::DONE; ++state) {
    auto found = snapshot.slots.find(static_cast<v1::SlotState>(state));
    Set(family, found == snapshot.slots.end() ? 0 : static_cast<double>(found->second),
        {{"state", absl::AsciiStrToLower(v1::SlotState_Name(state))}});
  }
  return family;
}

}  // namespace

ServerMetrics::ServerMetrics(const std::string& version, const std::string& build)
    : created_(AddCounter(registry_, "radiograph_jobs_created_total",
                          "Jobs that were created, cache hits among them.")),
      cache_hits_(AddCounter(registry_, "radiograph_cache_hits_total",
                             "Jobs that were answered from the cache.")),
      requeued_(
          AddCounter(registry_, "radiograph_jobs_requeued_total",
                     "Attempts that ended without a result and were given to the queue again.")),
      mismatches_(AddCounter(registry_, "radiograph_result_mismatch_total",
                             "Results that differ from an earlier one of the same work by an equal "
                             "engine.")),
      damaged_(AddCounter(registry_, "radiograph_damaged_blobs_total",
                          "Blobs whose bytes were found missing or changed; each once until it is "
                          "uploaded again.")),
      collected_jobs_(AddCounter(registry_, "radiograph_collected_jobs_total",
                                 "Ended jobs that were forgotten after their time.")),
      collected_memos_(AddCounter(registry_, "radiograph_collected_memos_total",
                                  "Partial results that were forgotten after their time.")),
      collected_blobs_(AddCounter(registry_, "radiograph_collected_blobs_total",
                                  "Blobs that were removed because nothing needed them.")),
      collected_bytes_(
          AddCounter(registry_, "radiograph_collected_bytes_total", "Bytes of those blobs.")),
      last_collection_(
          prometheus::BuildGauge()
              .Name("radiograph_last_collection_timestamp_seconds")
              .Help("When the last whole collection ended; 0: none has since the start.")
              .Register(registry_)
              .Add({})),
      finished_(prometheus::BuildCounter()
                    .Name("radiograph_jobs_finished_total")
                    .Help("Jobs that ended, by state and by the code of their error.")
                    .Register(registry_)),
      refused_(prometheus::BuildCounter()
                   .Name("radiograph_auth_failures_total")
                   .Help("Calls and requests for pages that were refused, by reason.")
                   .Register(registry_)),
      exhausted_(prometheus::BuildCounter()
                     .Name("radiograph_exhausted_total")
                     .Help("Calls that were refused for want of room, by the limit that they met.")
                     .Register(registry_)),
      queue_wait_(AddHistogram(registry_, "radiograph_job_queue_wait_seconds",
                               "From a job's creation to its last lease.")),
      run_time_(AddHistogram(registry_, "radiograph_job_run_seconds",
                             "From a job's last lease to its end.")) {
  prometheus::BuildGauge()
      .Name("radiograph_build_info")
      .Help("Version and SHA-256 of the server's binary; always 1.")
      .Register(registry_)
      .Add({{"version", version}, {"build", build}})
      .Set(1);
  for (const Refusal refusal :
       {Refusal::kNoToken, Refusal::kNotBearer, Refusal::kUnknownToken, Refusal::kWrongScope}) {
    refused_.Add({{"reason", std::string(RefusalName(refusal))}});  // all there from the start
  }
  for (const Quota quota : AllQuotas()) exhausted_.Add({{"limit", std::string(NameOf(quota))}});
}

void ServerMetrics::Refused(Refusal refusal) {
  refused_.Add({{"reason", std::string(RefusalName(refusal))}}).Increment();
}

void ServerMetrics::Collected(const v1::CollectResponse& collected, absl::Time time) {
  collected_jobs_.Increment(static_cast<double>(collected.jobs()));
  collected_memos_.Increment(static_cast<double>(collected.memos()));
  collected_blobs_.Increment(static_cast<double>(collected.blobs()));
  collected_bytes_.Increment(static_cast<double>(collected.bytes()));
  last_collection_.Set(absl::ToDoubleSeconds(time - absl::UnixEpoch()));
}

void ServerMetrics::Exhausted(absl::string_view reason) {
  const std::string name = absl::AsciiStrToLower(reason);
  for (const Quota quota : AllQuotas()) {
    if (NameOf(quota) == name) return exhausted_.Add({{"limit", name}}).Increment();
  }
  exhausted_.Add({{"limit", "other"}}).Increment();  // memory, descriptors
}

JobsObserver ServerMetrics::Observer() {
  JobsObserver observer;
  observer.created = [this](const v1::Job& job) {
    created_.Increment();
    if (job.cache_hit()) cache_hits_.Increment();
  };
  observer.finished = [this](const v1::Job& job, absl::Duration queued, absl::Duration ran) {
    const std::string outcome = absl::AsciiStrToLower(v1::JobState_Name(job.state()));
    finished_.Add({{"outcome", outcome}, {"reason", GrpcCodeName(job.error().code())}}).Increment();
    if (job.cache_hit()) return;  // neither waited nor ran
    queue_wait_.Observe(absl::ToDoubleSeconds(queued));
    run_time_.Observe(absl::ToDoubleSeconds(ran));
  };
  observer.requeued = [this](const v1::Job&) { requeued_.Increment(); };
  observer.mismatched = [this](const v1::Job&) { mismatches_.Increment(); };
  return observer;
}

std::string ServerMetrics::Text(const JobsSnapshot& snapshot, const Bytes& bytes) const {
  std::vector<MetricFamily> families = registry_.Collect();
  families.push_back(JobsByState(snapshot));
  families.push_back(SlotsByState(snapshot));
  families.push_back(Gauge("radiograph_oldest_queued_age_seconds",
                           "Age of the oldest job in the queue; 0 when the queue is empty."));
  Set(families.back(), absl::ToDoubleSeconds(snapshot.oldest_queued_age));
  families.push_back(Gauge("radiograph_blob_bytes", "Sum of the sizes of all stored blobs."));
  Set(families.back(), static_cast<double>(bytes.blob_bytes));
  families.push_back(Gauge("radiograph_disk_free_bytes",
                           "Free bytes of the file system that holds the state folder."));
  Set(families.back(), static_cast<double>(bytes.disk_free_bytes));
  for (MetricFamily& family : ProcessMetrics()) families.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace radiograph
