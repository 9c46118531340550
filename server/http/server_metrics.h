// What the server tells Prometheus of itself: counters and histograms as things happen, the rest as
// it is when asked. All labels come from closed sets; no ids.
#ifndef RADIOGRAPH_SERVER_HTTP_SERVER_METRICS_H_
#define RADIOGRAPH_SERVER_HTTP_SERVER_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/auth/authorization.h"
#include "server/jobs/jobs.h"

namespace radiograph {

// Safe for use from many threads.
class ServerMetrics {
 public:
  ServerMetrics(const std::string& version, const std::string& build);

  prometheus::Registry& registry() { return registry_; }
  // Counts what happens to jobs; the metrics must outlive the Jobs.
  JobsObserver Observer();
  // Counts callers that were sent away.
  void Refused(Refusal refusal);
  // Counts blobs whose bytes were found missing or changed.
  void FoundDamaged() { damaged_.Increment(); }
  // What a collection has forgotten, and when it ended.
  void Collected(const v1::CollectResponse& collected, absl::Time time);
  // Counts calls that were refused for want of room, by the reason of their status (quota.h).
  void Exhausted(absl::string_view reason);

  struct Bytes {
    int64_t blob_bytes = 0;       // of all blobs
    int64_t disk_free_bytes = 0;  // where they are
  };
  // The text exposition format. `snapshot` and `bytes` are as of now.
  std::string Text(const JobsSnapshot& snapshot, const Bytes& bytes) const;

 private:
  prometheus::Registry registry_;
  prometheus::Counter& created_;
  prometheus::Counter& cache_hits_;
  prometheus::Counter& requeued_;
  prometheus::Counter& mismatches_;
  prometheus::Counter& damaged_;
  prometheus::Counter& collected_jobs_;
  prometheus::Counter& collected_memos_;
  prometheus::Counter& collected_blobs_;
  prometheus::Counter& collected_bytes_;
  prometheus::Gauge& last_collection_;
  prometheus::Family<prometheus::Counter>& finished_;
  prometheus::Family<prometheus::Counter>& refused_;
  prometheus::Family<prometheus::Counter>& exhausted_;
  prometheus::Histogram& queue_wait_;
  prometheus::Histogram& run_time_;
};

// CPU time, memory, threads, open files and start of this process, as Prometheus' own clients name
// them. What /proc doesn't tell is left out.
std::vector<prometheus::MetricFamily> ProcessMetrics();

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_HTTP_SERVER_METRICS_H_
