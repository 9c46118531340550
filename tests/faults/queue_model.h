// What the queue promises, as plainly as it can be said: a list of jobs, the leases that are open,
// and what each operation does to them. No store, no threads, no order of events. The real queue is
// held against it (model_test.cc).
#ifndef RADIOGRAPH_TESTS_FAULTS_QUEUE_MODEL_H_
#define RADIOGRAPH_TESTS_FAULTS_QUEUE_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "radiograph/v1/jobs.pb.h"

namespace radiograph::testing {

// All that decides how a job is dealt with. Keys stand for cache keys: 0 is work like no other.
struct ModelRequest {
  std::string tenant;
  int key = 0;
  v1::CacheMode cache = v1::USE;
  v1::JobPriority priority = v1::NORMAL;
  int max_attempts = 3;
  absl::Duration timeout = absl::InfiniteDuration();
  std::string request_id;
};

struct ModelJob {
  std::string id;
  ModelRequest request;
  v1::JobState state = v1::QUEUED;
  std::string first;   // the job whose run it shares
  std::string result;  // digest of its one file
  std::string differs_from;
  bool cache_hit = false;
  int burned = 0;
  bool cancel = false, late = false;
  absl::Duration ready_from, ready_by;  // a back-off is by chance up to a half shorter
  absl::Duration deadline = absl::InfiniteDuration();
  std::set<std::string> crashed_on;
  v1::JobPriority rank = v1::NORMAL;  // its priority, or that of a job merged into it
  bool is_final() const { return state >= v1::SUCCEEDED; }
};

struct ModelLease {
  std::string job, slot;
  absl::Duration expiry;
};

class QueueModel {
 public:
  QueueModel(absl::Duration term, absl::Duration backoff) : term_(term), backoff_(backoff) {}

  // The job that an earlier request with that id made.
  const ModelJob* Repeated(const ModelRequest& request) const;
  // What becomes of a new job, called `id`.
  const ModelJob& Create(const std::string& id, const ModelRequest& request);
  void Cancel(const std::string& id);
  void Delete(const std::string& id);
  // Whether a slot may be given that job now; why not, else an empty text.
  std::string WhyNot(const std::string& id, const std::string& slot) const;
  // A job that the slot must be given one before leaving it idle; empty: none.
  std::string MustTake(const std::string& slot) const;
  void Take(const std::string& id, const std::string& slot, const std::string& token);
  // The holder of the token is heard of. False: it holds nothing.
  bool Renew(const std::string& token);
  bool End(const std::string& token, const std::string& outcome, const std::string& result);
  void Drain(const std::string& slot, bool drained);
  // `by` is no more than NextDue: what falls due at the same time has an order then.
  void Advance(absl::Duration by);
  absl::Duration NextDue() const;
  void Restart();

  const std::map<std::string, ModelJob>& jobs() const { return jobs_; }
  const std::vector<std::string>& order() const { return order_; }  // with those deleted
  const std::map<std::string, ModelLease>& leases() const { return leases_; }
  const ModelJob& job(const std::string& id) const { return jobs_.at(id); }
  bool drained(const std::string& slot) const { return drained_.contains(slot); }

 private:
  std::vector<std::string> Merged(const std::string& id) const;
  void Leave(ModelJob& job);
  void Requeue(ModelJob& job, bool burned);
  void Finish(ModelJob& job, v1::JobState state);

  const absl::Duration term_, backoff_;
  absl::Duration now_;
  std::vector<std::string> order_;  // of creation
  std::map<std::string, ModelJob> jobs_;
  std::map<std::string, ModelLease> leases_;  // by token
  std::set<std::string> drained_;
};

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_TESTS_FAULTS_QUEUE_MODEL_H_
