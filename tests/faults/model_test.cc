// The real queue (real SQLite, a clock that stands still) against the model: random operations, the
// same answers. A run that fails is cut down to a short trace that still fails.
//   RADIOGRAPH_SEED=N         plays a run again
//   RADIOGRAPH_MODEL_STEPS=N  operations in all
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/jobs/jobs_fixture.h"
#include "tests/faults/queue_model.h"

namespace radiograph::testing {
namespace {

constexpr int kStepsPerRun = 200;
constexpr int kStepsDefault = 4000;
constexpr int kShrinkRunsMax = 400;
constexpr absl::Duration kBackoff = absl::Seconds(10);

enum class Do {
  kCreate,
  kCancel,
  kRetry,
  kDelete,
  kAsk,
  kBusy,
  kReport,
  kStale,
  kWait,
  kDrain,
  kRestart
};
// What is done; the numbers choose among what there is at that time.
struct Step {
  Do what;
  uint32_t a, b, c;
};

Step RandomStep(std::mt19937& random) {
  static constexpr std::pair<Do, int> kWeights[] = {
      {Do::kCreate, 24}, {Do::kCancel, 6}, {Do::kRetry, 3},   {Do::kDelete, 3},
      {Do::kAsk, 24},    {Do::kBusy, 10},  {Do::kReport, 20}, {Do::kStale, 4},
      {Do::kWait, 10},   {Do::kDrain, 3},  {Do::kRestart, 1}};
  int total = 0;
  for (const auto& [what, weight] : kWeights) total += weight;
  int at = static_cast<int>(random() % total);
  Do chosen = Do::kWait;
  for (const auto& [what, weight] : kWeights) {
    if (at >= 0 && at < weight) chosen = what;
    at -= weight;
  }
  return {chosen, static_cast<uint32_t>(random()), static_cast<uint32_t>(random()),
          static_cast<uint32_t>(random())};
}

class ModelRun : public JobsFixture {
 public:
  ModelRun() {
    options_.backoff = {kBackoff, kBackoff};
    Restart();
  }
  void TestBody() override {}

  // What was different; empty: nothing.
  std::string Play(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      log_.push_back("");
      Apply(step);
      if (wrong_.empty()) Compare();
      if (!wrong_.empty()) return wrong_;
    }
    CheckEvents();
    return wrong_;
  }
  std::string Log() const { return absl::StrJoin(log_, "\n"); }

 private:
  void Say(const std::string& text) { absl::StrAppend(&log_.back(), text, "; "); }
  void Wrong(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }
  static std::string Pick(const std::vector<std::string>& from, uint32_t by) {
    return from.empty() ? "" : from[by % from.size()];
  }
  std::vector<std::string> Ids() const {
    std::vector<std::string> ids;
    for (const std::string& id : model_.order()) {  // ids are random: their order is not the same
      if (model_.jobs().contains(id)) ids.push_back(id);
    }
    return ids;
  }
  std::vector<std::string> Tokens() const {
    std::vector<std::string> tokens;
    for (const std::string& token : tokens_) {
      if (model_.leases().contains(token)) tokens.push_back(token);
    }
    return tokens;
  }
  static std::string SlotName(uint32_t by) { return absl::StrCat("w", by % 3, "/cpu"); }

  void Apply(const Step& step) {
    switch (step.what) {
      case Do::kCreate:
        return CreateOne(step);
      case Do::kCancel:
        return CancelOne(Pick(Ids(), step.a));
      case Do::kRetry:
        return RetryOne(Pick(Ids(), step.a));
      case Do::kDelete:
        return DeleteOne(Pick(Ids(), step.a));
      case Do::kAsk:
        return AskFor(SlotName(step.a));
      case Do::kBusy:
        return BeBusy(Pick(Tokens(), step.a));
      case Do::kReport:
        return Report(Pick(Tokens(), step.a), step.b, step.c);
      case Do::kStale:
        return Report(Pick(tokens_, step.a), step.b, step.c);
      case Do::kWait:
        return WaitFor(absl::Milliseconds(1 + step.a % (step.b % 3 ? 3000 : 40000)));
      case Do::kDrain:
        return DrainOne(SlotName(step.a), step.b % 3 == 0);
      case Do::kRestart: {
        Say("restart");
        Restart();
        return model_.Restart();
      }
    }
  }

  static ResolvedJob ResolvedOf(const ModelRequest& request) {
    ResolvedJob resolved = Resolved(request.key == 0 ? "" : absl::StrCat("key", request.key));
    resolved.job.set_tenant(request.tenant);
    return resolved;
  }
  void CreateOne(const Step& step) {
    ModelRequest request;
    request.tenant = step.a % 4 == 0 ? "other" : kDefaultTenant;
    request.key = static_cast<int>(step.a / 4 % 5);
    request.cache = step.b % 8 == 0 ? v1::REFRESH : step.b % 8 == 1 ? v1::BYPASS : v1::USE;
    request.priority = static_cast<v1::JobPriority>(step.b / 8 % 3);
    request.max_attempts = 1 + static_cast<int>(step.b / 32 % 3);
    if (step.c % 4 == 0) request.timeout = absl::Milliseconds(1 + step.c / 8 % 60000);
    if (step.c % 5 == 0) request.request_id = absl::StrCat("r", step.c / 16 % 6);
    v1::CreateJobRequest wire;
    wire.set_cache(request.cache);
    wire.set_priority(request.priority);
    wire.set_max_attempts(request.max_attempts);
    wire.set_request_id(request.request_id);
    wire.set_seed(request.key);  // the body of the request
    if (request.timeout < absl::InfiniteDuration()) {
      const int64_t ms = absl::ToInt64Milliseconds(request.timeout);
      wire.mutable_timeout()->set_seconds(ms / 1000);
      wire.mutable_timeout()->set_nanos(static_cast<int32_t>(ms % 1000 * 1'000'000));
    }
    auto made = jobs_->Create(wire, ResolvedOf(request));
    Settle();
    if (const ModelJob* earlier = model_.Repeated(request)) {
      Say(absl::StrCat("create again ", request.request_id));
      const bool same = bodies_.at(earlier->id) == wire.SerializeAsString();
      if (same != made.ok()) Wrong(absl::StrCat("a repeat gave ", made.status().ToString()));
      if (made.ok() && made->job().id() != earlier->id) Wrong("a repeat made another job");
      return;
    }
    if (!made.ok()) return Wrong(absl::StrCat("create: ", made.status().ToString()));
    const std::string id = made->job().id();
    bodies_[id] = wire.SerializeAsString();
    model_.Create(id, request);
    Say(absl::StrCat("create ", id, " key ", request.key, " of ", request.tenant, " ",
                     v1::CacheMode_Name(request.cache), " ", v1::JobPriority_Name(request.priority),
                     " attempts ", request.max_attempts, " timeout ",
                     absl::FormatDuration(request.timeout)));
  }
  JobKey KeyOf(const std::string& id) const { return {model_.job(id).request.tenant, id}; }

  void CancelOne(const std::string& id) {
    if (id.empty()) return;
    Say("cancel " + id);
    if (!jobs_->Cancel(KeyOf(id)).ok()) Wrong("cancel failed");
    Settle();
    model_.Cancel(id);
  }
  void RetryOne(const std::string& id) {
    if (id.empty()) return;
    Say("retry " + id);
    ModelRequest request = model_.job(id).request;
    const v1::JobState state = model_.job(id).state;
    auto made = jobs_->Retry(KeyOf(id), "");
    Settle();
    if (made.ok() != (state == v1::FAILED || state == v1::CANCELLED)) {
      return Wrong(
          absl::StrCat("retry of ", v1::JobState_Name(state), " gave ", made.status().ToString()));
    }
    if (!made.ok()) return;
    if (request.cache == v1::REFRESH) request.cache = v1::USE;
    request.request_id.clear();
    model_.Create(made->id(), request);
  }
  void DeleteOne(const std::string& id) {
    if (id.empty()) return;
    Say("delete " + id);
    const bool may = model_.job(id).is_final();
    if (jobs_->Delete(KeyOf(id)).ok() != may) return Wrong("delete of " + id);
    if (may) model_.Delete(id);
  }

  v1::SynchronizeResponse Call(v1::SynchronizeRequest request) {
    request.set_answer_now(true);
    auto answer = Poll(std::move(request));
    if (!answer->has_value() || !(*answer)->ok()) {
      Wrong(absl::StrCat("a poll got ", answer->has_value() ? (*answer)->status().ToString() : ""));
      return {};
    }
    return ***answer;
  }
  bool InQuarantine(const std::string& slot) {
    const v1::ListWorkersResponse workers = jobs_->ListWorkers(kDefaultTenant);
    return std::any_of(workers.workers().begin(), workers.workers().end(),
                       [&](const v1::Worker& worker) {
                         return worker.slot() == slot && !worker.quarantine().empty();
                       });
  }
  void AskFor(const std::string& slot) {
    std::string held;
    for (const auto& [token, lease] : model_.leases()) {
      if (lease.slot == slot) held = token;
    }
    const std::string must = held.empty() ? model_.MustTake(slot) : "";
    const v1::SynchronizeResponse answer = Call(Slot(slot, v1::IDLE));
    const std::string token = answer.lease().token();
    Say(absl::StrCat(slot, " asks, gets ", answer.has_lease() ? answer.lease().job() : "nothing"));
    if (!held.empty()) {
      if (token != held) return Wrong(slot + " holds a lease and got another, or none");
      model_.Renew(held);
      return;
    }
    if (!answer.has_lease()) {
      if (!must.empty() && !InQuarantine(slot)) Wrong(must + " was not given to " + slot);
      return;
    }
    const std::string why_not = model_.WhyNot(answer.lease().job(), slot);
    if (!why_not.empty()) return Wrong(answer.lease().job() + " was given: " + why_not);
    model_.Take(answer.lease().job(), slot, token);
    tokens_.push_back(token);
    slot_of_[token] = slot;
  }
  v1::SynchronizeRequest HolderOf(const std::string& token, v1::SlotState state) {
    v1::Lease lease;
    lease.set_token(token);
    return Holder(lease, state, slot_of_.at(token));
  }
  void BeBusy(const std::string& token) {
    if (token.empty()) return;
    const ModelJob& job = model_.job(model_.leases().at(token).job);
    v1::SynchronizeRequest request = HolderOf(token, v1::BUSY);
    request.mutable_progress()->set_started(true);
    const v1::SynchronizeResponse answer = Call(std::move(request));
    Say(absl::StrCat("the holder of ", job.id, " is busy"));
    model_.Renew(token);
    if (answer.desired() != v1::BUSY) return Wrong("an open lease is told to stop");
    if ((job.cancel || job.late) && !answer.cancel()) Wrong(job.id + " is not told to stop");
  }
  void Report(const std::string& token, uint32_t by, uint32_t result) {
    if (token.empty()) return;
    static constexpr const char* kOutcomes[] = {"SUCCEEDED", "SUCCEEDED", "SUCCEEDED",
                                                "FAILED",    "CRASHED",   "CRASHED",
                                                "PREEMPTED", "CANCELLED", "OUT_OF_MEMORY"};
    const std::string outcome = kOutcomes[by % std::size(kOutcomes)];
    v1::Lease lease;
    lease.set_token(token);
    v1::SynchronizeRequest request = Done(lease, outcome, slot_of_.at(token));
    std::string digest;
    if (outcome == "SUCCEEDED") {
      const std::string bytes = result % 3 == 0 ? "[]" : "{}";
      *request.mutable_report()->mutable_result(0)->mutable_blob() =
          *store_->blobs->PutBytes(kDefaultTenant, bytes);
      digest = request.report().result(0).blob().sha256();
    }
    const bool open = model_.leases().contains(token);
    Say(absl::StrCat(slot_of_.at(token), open ? " reports " : " reports late ", outcome,
                     open ? " of " + model_.leases().at(token).job : ""));
    const v1::SynchronizeResponse answer = Call(std::move(request));
    const bool holds_other = !open && answer.desired() == v1::BUSY;
    if (answer.desired() != v1::IDLE || holds_other) Wrong("a report is answered with work");
    model_.End(token, outcome, digest);
  }
  void WaitFor(absl::Duration by) {
    Say(absl::StrCat("wait ", absl::FormatDuration(by)));
    while (by > absl::ZeroDuration()) {
      const absl::Duration step = std::min(by, model_.NextDue());
      Advance(step);
      model_.Advance(step);
      by -= step;
    }
  }
  void DrainOne(const std::string& slot, bool resume) {
    Say(absl::StrCat(resume ? "resume " : "drain ", slot));
    const absl::Status status =
        resume ? jobs_->Undrain(slot) : jobs_->Drain(slot, absl::Seconds(5));
    if (resume && status.ok() != model_.drained(slot)) Wrong("undrain of " + slot);
    if (status.ok()) model_.Drain(slot, !resume);
    Settle();
  }

  void Compare() {
    for (const auto& [id, expected] : model_.jobs()) {
      absl::StatusOr<v1::Job> job = jobs_->Get(KeyOf(id));
      if (!job.ok()) return Wrong(absl::StrCat(id, ": ", job.status().ToString()));
      const std::string result = job->result().empty() ? "" : job->result(0).blob().sha256();
      const std::string have = absl::StrCat(
          v1::JobState_Name(job->state()), " first '", job->merged_into(), "' result '", result,
          "' differs from '", job->differs_from(), "' hit ", job->cache_hit());
      const std::string want = absl::StrCat(
          v1::JobState_Name(expected.state), " first '", expected.first, "' result '",
          expected.result, "' differs from '", expected.differs_from, "' hit ", expected.cache_hit);
      if (have != want) return Wrong(absl::StrCat(id, " is ", have, ", not ", want));
    }
  }
  // Numbered without a gap, one end, and the last state is the job's.
  void CheckEvents() {
    for (const auto& [id, expected] : model_.jobs()) {
      absl::StatusOr<Jobs::EventPage> page = jobs_->Events(KeyOf(id), 0, 10'000);
      if (!page.ok()) return Wrong("no events of " + id);
      int64_t number = 0, ends = 0;
      for (const v1::JobEvent& event : page->events) {
        if (event.sequence() != ++number) return Wrong("events of " + id + " have a gap");
        ends += event.state() >= v1::SUCCEEDED;
      }
      if (ends != expected.is_final()) return Wrong(absl::StrCat(id, " ended ", ends, " times"));
      if (page->events.back().state() != expected.state) return Wrong("the last event of " + id);
      if (page->ended != expected.is_final()) return Wrong("whether " + id + " ended");
    }
  }

  QueueModel model_{options_.lease_term, kBackoff};
  std::map<std::string, std::string> bodies_, slot_of_;
  std::vector<std::string> tokens_, log_;
  std::string wrong_;
};

// Leaves out what isn't needed for some failure, as far as the runs allow.
std::vector<Step> Shrink(std::vector<Step> steps) {
  int runs = 0;
  for (size_t chunk = steps.size() / 2; chunk > 0; chunk /= 2) {
    for (size_t at = 0; at + chunk <= steps.size() && runs < kShrinkRunsMax;) {
      std::vector<Step> fewer = steps;
      fewer.erase(fewer.begin() + static_cast<int64_t>(at),
                  fewer.begin() + static_cast<int64_t>(at + chunk));
      ++runs;
      if (ModelRun().Play(fewer).empty()) {
        at += chunk;
      } else {
        steps = std::move(fewer);
      }
    }
  }
  return steps;
}

int FromEnvironment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  int value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

TEST(QueueModel, TheQueueDoesWhatTheModelDoes) {
  const int steps_in_all = FromEnvironment("RADIOGRAPH_MODEL_STEPS", kStepsDefault);
  const int first =
      FromEnvironment("RADIOGRAPH_SEED", static_cast<int>(std::random_device()() >> 8));
  const int runs = std::getenv("RADIOGRAPH_SEED") ? 1 : steps_in_all / kStepsPerRun;
  std::cout << runs << " runs of " << kStepsPerRun << " operations, seeds from " << first << "\n";
  for (int seed = first; seed < first + runs; ++seed) {
    std::mt19937 random(static_cast<uint32_t>(seed));
    std::vector<Step> steps;
    for (int i = 0; i < kStepsPerRun; ++i) steps.push_back(RandomStep(random));
    if (ModelRun().Play(steps).empty()) continue;
    ModelRun shortest;
    const std::string wrong = shortest.Play(Shrink(steps));
    FAIL() << "RADIOGRAPH_SEED=" << seed << ": " << wrong << "\n" << shortest.Log();
  }
}

}  // namespace
}  // namespace radiograph::testing
