// A store, a clock and Jobs without threads of their own: what tests of this folder stand on.
#ifndef RADIOGRAPH_SERVER_JOBS_JOBS_FIXTURE_H_
#define RADIOGRAPH_SERVER_JOBS_JOBS_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "server/jobs/errands.h"
#include "server/jobs/jobs.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_disk.h"
#include "tests/support/status_matchers.h"

namespace radiograph::testing {

class JobsFixture : public ::testing::Test {
 protected:
  using Answer = std::optional<absl::StatusOr<v1::SynchronizeResponse>>;

  // A job that crashed is tried again at once, unless a test says otherwise.
  JobsFixture() : folder_(*TemporaryFolder::Make()) {
    options_.backoff = {absl::ZeroDuration(), absl::ZeroDuration()};
    Open();
  }
  void Open() {
    auto store = Store::Open({.folder = folder_.path()}, &clock_, &disk_);
    ASSERT_OK(store);
    store_ = *std::move(store);
    auto jobs = Jobs::Open(options_, store_.get(), &clock_, &errands_, observer_);
    ASSERT_OK(jobs);
    jobs_ = *std::move(jobs);
  }
  // As a new process finds it. (All that was acknowledged is synced: a kill would leave the same.)
  void Restart() {
    jobs_.reset();
    errands_.RunDue();
    store_.reset();
    Open();
  }
  // Until nothing is left to do at this time. Writes may lead to others; no chain is longer than
  // the rounds.
  void Settle() {
    for (int round = 0; round < 4; ++round) {
      ASSERT_OK(store_->database->Write([](Connection&) { return absl::OkStatus(); }));
      if (errands_.RunDue() > 0) round = 0;
    }
  }
  void Advance(absl::Duration by) {
    clock_.Advance(by);
    Settle();
  }

  static ResolvedJob Resolved(const std::string& cache_key = "") {
    ResolvedJob resolved;
    resolved.job.set_tenant(kDefaultTenant);
    resolved.job.set_analysis("test.analysis");
    resolved.job.set_analysis_version(1);
    resolved.job.set_cache_key(cache_key);
    resolved.request = "{\"analysis\":\"test.analysis\"}";
    resolved.planned_memory_bytes = 100;
    return resolved;
  }
  std::string Create() {
    auto made = jobs_->Create({}, Resolved());
    EXPECT_OK(made);
    Settle();
    return made.ok() ? made->job().id() : "";
  }
  static JobKey Key(const std::string& id) { return {kDefaultTenant, id}; }
  v1::Job Get(const std::string& id) {
    auto job = jobs_->Get(Key(id));
    EXPECT_OK(job);
    return job.ok() ? *job : v1::Job();
  }
  std::vector<std::string> Messages(const std::string& id) {
    std::vector<std::string> messages;
    auto page = jobs_->Events(Key(id), 0, 1000);
    EXPECT_OK(page);
    for (const v1::JobEvent& event : page->events) messages.push_back(event.message());
    return messages;
  }

  static v1::SynchronizeRequest Slot(const std::string& name, v1::SlotState state) {
    v1::SynchronizeRequest request;
    request.set_slot(name);
    request.set_incarnation("first start");
    request.set_state(state);
    request.set_memory_bytes(1000);
    request.mutable_engine()->set_device_kind("cpu");
    request.mutable_engine()->set_build("build");
    v1::OfferedAnalysis& offered = *request.add_analyses();
    offered.set_name("test.analysis");
    offered.set_version(1);
    return request;
  }
  static v1::SynchronizeRequest Holder(const v1::Lease& lease, v1::SlotState state,
                                       const std::string& slot = "w/cpu") {
    v1::SynchronizeRequest request = Slot(slot, state);
    request.set_lease_token(lease.token());
    return request;
  }
  v1::SynchronizeRequest Done(const v1::Lease& lease, const std::string& outcome,
                              const std::string& slot = "w/cpu") {
    v1::SynchronizeRequest request = Holder(lease, v1::DONE, slot);
    request.mutable_report()->set_outcome(outcome);
    if (outcome == "SUCCEEDED") {
      v1::ArtifactFile& file = *request.mutable_report()->add_result();
      file.set_name("result.json");
      *file.mutable_blob() = *store_->blobs->PutBytes(kDefaultTenant, "{}");
    } else {
      request.mutable_report()->mutable_error()->set_code(13);
      request.mutable_report()->mutable_error()->set_message("because of the test");
    }
    return request;
  }
  // The answer comes into what is returned, when it comes.
  std::shared_ptr<Answer> Poll(v1::SynchronizeRequest request, std::stop_token stop = {}) {
    auto answer = std::make_shared<Answer>();
    jobs_->Synchronize(std::move(request), embedded_, std::move(stop),
                       [answer](absl::StatusOr<v1::SynchronizeResponse> response) {
                         EXPECT_FALSE(answer->has_value()) << "answered twice";
                         *answer = std::move(response);
                       });
    Settle();
    return answer;
  }
  // The answer to a poll that must be answered at once.
  absl::StatusOr<v1::SynchronizeResponse> Ask(v1::SynchronizeRequest request) {
    std::shared_ptr<Answer> answer = Poll(std::move(request));
    if (!answer->has_value()) return absl::DeadlineExceededError("no answer yet");
    return **answer;
  }
  // The lease of an idle slot; fails the test when it gets none.
  v1::Lease Take(const std::string& slot = "w/cpu") {
    auto answer = Ask(Slot(slot, v1::IDLE));
    EXPECT_OK(answer);
    EXPECT_TRUE(answer.ok() && answer->has_lease());
    return answer.ok() ? answer->lease() : v1::Lease();
  }

  const TemporaryFolder folder_;
  FakeClock clock_;
  FakeDisk disk_;
  Errands errands_{&clock_};
  JobsOptions options_;
  JobsObserver observer_;
  bool embedded_ = false;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Jobs> jobs_;
};

}  // namespace radiograph::testing

#endif  // RADIOGRAPH_SERVER_JOBS_JOBS_FIXTURE_H_
