#include "server/worker/agent.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/process/job_folder.h"
#include "server/worker/fake_server.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kPatienceMs = 60'000;

class AgentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }

  void StartServer(absl::Duration lease_term) {
    server_ = std::make_unique<FakeServer>(lease_term);
  }
  void StartAgent(absl::Duration cancel_grace = absl::Seconds(2),
                  std::vector<std::string> devices = {"cpu"}) {
    AgentOptions options;
    options.cancel_grace = cancel_grace;
    options.devices = std::move(devices);
    options.name = "w";
    options.folder = folder_.path() + "/agent";
    options.compute_binary = FAKE_COMPUTE;
    options.token = "secret";
    if (server_ == nullptr) StartServer(absl::Seconds(30));
    agent_ = std::make_unique<Agent>(options, server_->Channel(),
                                     std::make_unique<LocalBlobSource>(
                                         [this](const std::string& sha256, const std::stop_token&) {
                                           const std::string path =
                                               absl::StrCat(folder_.path(), "/", sha256);
                                           const std::string bytes = server_->blob(sha256);
                                           if (!bytes.empty()) {
                                             EXPECT_OK(WriteFile(path, bytes));
                                           }
                                           return absl::StatusOr<std::string>(path);
                                         }));
    ASSERT_OK(agent_->Start());
  }
  // A job whose compute process behaves as `analysis` says (fake_compute).
  void Enqueue(const std::string& job, const std::string& analysis) {
    JobRequest request;
    request.analysis = analysis;
    v1::Lease lease;
    lease.set_job(job);
    lease.set_request(request.ToJsonText());
    server_->Enqueue(lease);
  }
  v1::AttemptReport AwaitReport(const std::string& job) {
    std::optional<v1::AttemptReport> report = server_->AwaitReport(job);
    EXPECT_TRUE(report.has_value()) << "no report of " << job;
    return report.value_or(v1::AttemptReport());
  }
  bool AwaitStart() {
    return server_->AwaitRequest([](const auto& request) { return request.progress().started(); });
  }
  // Of the compute process that runs the job at hand.
  int ComputePid(int slot = 0) {
    int pid = 0;
    auto text = ReadFile(absl::StrCat(folder_.path(), "/agent/slots/", slot, "/job/pid"), 100);
    EXPECT_TRUE(text.ok() && absl::SimpleAtoi(*text, &pid)) << text.status();
    return pid;
  }
  // Of the compute process that has made the result.
  int PidInResult(const v1::AttemptReport& report) {
    for (const v1::ArtifactFile& file : report.result()) {
      if (file.name() != "run.json") continue;
      return Json::parse(server_->blob(file.blob().sha256()))["pid"];
    }
    return 0;
  }
  // <sys/pidfd.h> of glibc 2.36 is not for C++.
  static UniqueFd Watch(int pid) { return UniqueFd(syscall(SYS_pidfd_open, pid, 0)); }
  static bool AwaitExit(const UniqueFd& process) {
    pollfd wait = {process.get(), POLLIN, 0};
    return poll(&wait, 1, kPatienceMs) == 1;
  }

  TemporaryFolder folder_ = TemporaryFolder::Make().value();
  std::unique_ptr<FakeServer> server_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(AgentTest, RunsAJobAndUploadsItsResult) {
  StartAgent();
  Enqueue("j1", "fake.ok");
  v1::AttemptReport report = AwaitReport("j1");
  EXPECT_EQ(report.outcome(), "SUCCEEDED");
  EXPECT_EQ(report.seconds(), 0.25);
  EXPECT_EQ(report.peak_host_bytes(), 1000);
  std::vector<std::string> names;
  for (const v1::ArtifactFile& file : report.result()) {
    names.push_back(file.name());
    std::string bytes = server_->blob(file.blob().sha256());
    EXPECT_EQ(Sha256Hex(bytes), file.blob().sha256());
    EXPECT_EQ(static_cast<int64_t>(bytes.size()), file.blob().size());
  }
  EXPECT_THAT(names,
              ElementsAre("arrays.safetensors", "figures/a.json", "result.json", "run.json"));
  EXPECT_NE(access((folder_.path() + "/agent/slots/0/job").c_str(), F_OK), 0);
}

TEST_F(AgentTest, SlotTellsWhatItIs) {
  StartAgent();
  ASSERT_TRUE(
      server_->AwaitRequest([](const auto& request) { return request.state() == v1::IDLE; }));
  v1::SynchronizeRequest request = server_->requests().front();
  EXPECT_EQ(request.protocol_version(), 1);
  EXPECT_EQ(request.slot(), "w/cpu");
  EXPECT_EQ(request.incarnation().size(), 32u);
  EXPECT_EQ(request.engine().build(), "fake");
  EXPECT_EQ(request.analyses(0).name(), "fake.ok");
  EXPECT_EQ(request.memory_bytes(), 1 << 30);
  EXPECT_THAT(server_->tokens(), ElementsAre("Bearer secret"));
}

TEST_F(AgentTest, IdleSlotDoesNotHammerAServerThatAnswersAtOnce) {
  StartServer(/*lease_term=*/absl::ZeroDuration());
  const absl::Duration begin = SystemClock().Monotonic();
  StartAgent();
  ASSERT_TRUE(server_->AwaitRequest([polls = 0](const auto& request) mutable {
    return request.state() == v1::IDLE && ++polls > 5;
  }));
  EXPECT_GE(SystemClock().Monotonic() - begin, 5 * absl::Milliseconds(100));
}

TEST_F(AgentTest, OneWarmProcessRunsOneJobAfterTheOther) {
  StartAgent();
  Enqueue("j1", "fake.ok");
  Enqueue("j2", "fake.ok");
  EXPECT_EQ(PidInResult(AwaitReport("j1")), PidInResult(AwaitReport("j2")));
}

TEST_F(AgentTest, ErrorOfTheAnalysisFailsTheJob) {
  StartAgent();
  Enqueue("j1", "fake.refuse");
  v1::AttemptReport report = AwaitReport("j1");
  EXPECT_EQ(report.outcome(), "FAILED");
  EXPECT_EQ(report.error().code(), 3);
  EXPECT_EQ(report.error().message(), "k is 0; 1..4096 is allowed");
}

TEST_F(AgentTest, StartAndProgressAreTold) {
  StartAgent();
  Enqueue("j1", "fake.wait");
  ASSERT_TRUE(AwaitStart());
  EXPECT_TRUE(server_->AwaitRequest([](const auto& request) {
    return request.state() == v1::BUSY && request.lease_token() == "token of j1";
  }));
}

TEST_F(AgentTest, CrashIsReportedWithLastWordsAndTheNextJobGetsANewProcess) {
  StartAgent();
  Enqueue("j1", "fake.crash");
  Enqueue("j2", "fake.ok");
  v1::AttemptReport report = AwaitReport("j1");
  EXPECT_EQ(report.outcome(), "CRASHED");
  EXPECT_EQ(report.stderr_tail(), "last words \xEF\xBF\xBD\n");
  EXPECT_THAT(report.error().message(), HasSubstr("signal 9"));
  EXPECT_EQ(AwaitReport("j2").outcome(), "SUCCEEDED");
}

TEST_F(AgentTest, OutOfMemoryIsReportedWithNumbersAndHelp) {
  StartAgent();
  JobRequest request;
  request.analysis = "fake.oom";
  request.planned_memory_bytes = 2500;
  request.memory_help = "a smaller k would help";
  v1::Lease lease;
  lease.set_job("j1");
  lease.set_request(request.ToJsonText());
  server_->Enqueue(lease);
  v1::AttemptReport report = AwaitReport("j1");
  EXPECT_EQ(report.outcome(), "OUT_OF_MEMORY");
  EXPECT_EQ(report.error().code(), 8);
  EXPECT_EQ(report.error().message(), "out of memory: too much");
  EXPECT_EQ(report.needed_bytes(), 3000);
  EXPECT_EQ(report.available_bytes(), 2000);
  EXPECT_EQ(report.help(), "a smaller k would help");
}

TEST_F(AgentTest, FullDiskUnderComputeIsTheWorkersFault) {
  StartAgent();
  Enqueue("j1", "fake.full");
  v1::AttemptReport report = AwaitReport("j1");
  EXPECT_EQ(report.outcome(), "FAILED");
  EXPECT_EQ(report.error().code(), 14);
  EXPECT_THAT(report.error().message(),
              HasSubstr("/job/out/arrays.safetensors: No space left on device"));
}

TEST_F(AgentTest, JobFolderThatCanNotBeMadeIsTheWorkersFault) {
  StartAgent();
  ASSERT_TRUE(
      server_->AwaitRequest([](const auto& request) { return request.state() == v1::IDLE; }));
  const std::string slot = folder_.path() + "/agent/slots/0";
  ASSERT_OK(RemoveTree(slot));
  ASSERT_OK(WriteFile(slot, "no folder"));
  Enqueue("j1", "fake.ok");
  v1::AttemptReport report = AwaitReport("j1");
  EXPECT_EQ(report.outcome(), "FAILED");
  EXPECT_EQ(report.error().code(), 14);
  EXPECT_THAT(report.error().message(), HasSubstr(slot + "/job"));
}

TEST_F(AgentTest, ProcessThatDiedIdleCostsNoAttempt) {
  StartAgent();
  Enqueue("j1", "fake.ok");
  int pid = PidInResult(AwaitReport("j1"));
  ASSERT_GT(pid, 0);
  UniqueFd process = Watch(pid);
  kill(pid, SIGKILL);
  ASSERT_TRUE(AwaitExit(process));
  Enqueue("j2", "fake.ok");
  v1::AttemptReport report = AwaitReport("j2");
  EXPECT_EQ(report.outcome(), "SUCCEEDED");
  EXPECT_NE(PidInResult(report), pid);
}

TEST_F(AgentTest, CancelledJobEndsByItself) {
  StartAgent();
  Enqueue("j1", "fake.wait");
  ASSERT_TRUE(AwaitStart());
  int pid = ComputePid();
  server_->Cancel("j1");
  v1::AttemptReport report = AwaitReport("j1");
  EXPECT_EQ(report.outcome(), "CANCELLED");
  EXPECT_EQ(report.error().message(), "as asked");
  Enqueue("j2", "fake.ok");
  EXPECT_EQ(PidInResult(AwaitReport("j2")), pid);
}

TEST_F(AgentTest, JobThatIgnoresACancelIsKilled) {
  StartAgent(absl::Milliseconds(50));
  Enqueue("j1", "fake.deaf");
  ASSERT_TRUE(AwaitStart());
  UniqueFd process = Watch(ComputePid());
  server_->Cancel("j1");
  EXPECT_EQ(AwaitReport("j1").outcome(), "CANCELLED");
  EXPECT_TRUE(AwaitExit(process));
  Enqueue("j2", "fake.ok");
  EXPECT_EQ(AwaitReport("j2").outcome(), "SUCCEEDED");
}

TEST_F(AgentTest, LeaseTakenAwayStopsTheJobWithoutAReport) {
  StartServer(absl::Milliseconds(300));
  StartAgent();
  Enqueue("j1", "fake.wait");
  ASSERT_TRUE(AwaitStart());
  server_->TakeAway("j1");
  Enqueue("j2", "fake.ok");
  EXPECT_EQ(AwaitReport("j2").outcome(), "SUCCEEDED");
  for (const v1::SynchronizeRequest& request : server_->requests()) {
    EXPECT_FALSE(request.state() == v1::DONE && request.lease_token() == "token of j1");
  }
}

TEST_F(AgentTest, JobIsKilledWhenTheServerIsGoneForTheTermOfTheLease) {
  StartServer(absl::Milliseconds(300));
  StartAgent(absl::Milliseconds(50));
  Enqueue("j1", "fake.deaf");
  ASSERT_TRUE(AwaitStart());
  UniqueFd process = Watch(ComputePid());
  server_->Vanish();
  EXPECT_TRUE(AwaitExit(process));
}

TEST_F(AgentTest, LeaseIsKeptForManyTermsWhileTheServerAnswers) {
  StartServer(absl::Milliseconds(150));
  StartAgent();
  Enqueue("j1", "fake.wait");
  ASSERT_TRUE(AwaitStart());
  ASSERT_TRUE(server_->AwaitRequest([count = 0](const auto& request) mutable {
    return request.state() == v1::BUSY && ++count == 20;
  }));
  server_->Cancel("j1");
  EXPECT_EQ(AwaitReport("j1").outcome(), "CANCELLED");
}

TEST_F(AgentTest, RefusedResultFailsTheJobWithTheServersWord) {
  StartAgent();
  server_->RefuseNextResult();
  Enqueue("j1", "fake.ok");
  v1::AttemptReport report = AwaitReport("j1");
  EXPECT_EQ(report.outcome(), "FAILED");
  EXPECT_EQ(report.error().message(), "a blob of the result is not here");
}

TEST_F(AgentTest, TheNextAttemptGetsWhatTheCrashedOneSaved) {
  StartAgent();
  Enqueue("j1", "fake.save_and_crash");
  EXPECT_EQ(AwaitReport("j1").outcome(), "CRASHED");
  EXPECT_EQ(server_->blob(server_->kept("k").sha256()), "0+1");
  Enqueue("j1 again", "fake.keep");
  EXPECT_EQ(AwaitReport("j1 again").outcome(), "SUCCEEDED");
  EXPECT_EQ(server_->blob(server_->kept("k").sha256()), "0+1+1");
}

TEST_F(AgentTest, AJobWhoseStateCanNotBeKeptGoesOn) {
  StartAgent();
  server_->AnswerKeeping({grpc::StatusCode::RESOURCE_EXHAUSTED, "the disk is full"});
  Enqueue("j1", "fake.keep");
  EXPECT_EQ(AwaitReport("j1").outcome(), "SUCCEEDED");
  EXPECT_EQ(server_->kept("k").sha256(), "");
}

TEST_F(AgentTest, ACancelEndsAJobThatWaitsForItsState) {
  StartAgent();
  server_->HangKeeping();
  Enqueue("j1", "fake.keep");
  ASSERT_TRUE(server_->AwaitHanging());
  const int pid = ComputePid();
  server_->Cancel("j1");
  EXPECT_EQ(AwaitReport("j1").outcome(), "CANCELLED");
  Enqueue("j2", "fake.ok");
  EXPECT_EQ(PidInResult(AwaitReport("j2")), pid);
}

TEST_F(AgentTest, TheEndOfTheAgentDoesNotWaitForAnAnswer) {
  StartAgent(absl::Milliseconds(50));
  server_->HangKeeping();
  Enqueue("j1", "fake.keep");
  ASSERT_TRUE(server_->AwaitHanging());
  UniqueFd process = Watch(ComputePid());
  agent_.reset();
  EXPECT_TRUE(AwaitExit(process));
}

TEST_F(AgentTest, InputThatIsGoneIsTheWorkersFault) {
  StartAgent();
  JobRequest request;
  request.analysis = "fake.ok";
  request.inputs["model"] = {JobInput()};
  request.inputs["model"][0].files = {{"model.safetensors", Sha256Hex("nowhere")}};
  v1::Lease lease;
  lease.set_job("j1");
  lease.set_request(request.ToJsonText());
  lease.add_blobs()->mutable_blob()->set_sha256(Sha256Hex("nowhere"));
  server_->Enqueue(lease);
  v1::AttemptReport report = AwaitReport("j1");
  EXPECT_EQ(report.outcome(), "FAILED");
  EXPECT_EQ(report.error().code(), 14);
  EXPECT_THAT(report.error().message(), HasSubstr(Sha256Hex("nowhere")));
}

TEST_F(AgentTest, TwoSlotsWorkSideBySide) {
  StartAgent(absl::Seconds(2), {"cpu", "GPU-1"});
  Enqueue("j1", "fake.wait");
  Enqueue("j2", "fake.wait");
  auto started_on = [this](const std::string& slot) {
    return server_->AwaitRequest([&](const auto& request) {
      return request.slot() == slot && request.progress().started();
    });
  };
  EXPECT_TRUE(started_on("w/cpu"));
  EXPECT_TRUE(started_on("w/GPU-1"));
}

TEST_F(AgentTest, DrainLetsAJobEndWithinTheGrace) {
  StartAgent();
  Enqueue("j1", "fake.ok");
  ASSERT_TRUE(AwaitStart());
  agent_->Drain(absl::Minutes(1));
  EXPECT_EQ(AwaitReport("j1").outcome(), "SUCCEEDED");
}

TEST_F(AgentTest, DrainPreemptsAfterTheGrace) {
  StartAgent();
  Enqueue("j1", "fake.wait");
  ASSERT_TRUE(AwaitStart());
  agent_->Drain(absl::ZeroDuration());
  EXPECT_EQ(AwaitReport("j1").outcome(), "PREEMPTED");
}

TEST_F(AgentTest, DrainedAgentTakesNothing) {
  StartAgent();
  ASSERT_TRUE(
      server_->AwaitRequest([](const auto& request) { return request.state() == v1::IDLE; }));
  agent_->Drain(absl::Minutes(1));
  size_t count = server_->requests().size();
  EXPECT_TRUE(server_->requests().back().draining());
  Enqueue("j1", "fake.ok");
  agent_.reset();
  EXPECT_EQ(server_->requests().size(), count);
}

TEST_F(AgentTest, EndOfTheAgentLeavesNoProcess) {
  StartAgent(absl::Milliseconds(50));
  Enqueue("j1", "fake.deaf");
  ASSERT_TRUE(AwaitStart());
  UniqueFd process = Watch(ComputePid());
  agent_.reset();
  EXPECT_TRUE(AwaitExit(process));
}

}  // namespace
}  // namespace radiograph
