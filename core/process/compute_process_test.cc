#include "core/process/compute_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/process/frames.h"
#include "core/process/job_folder.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

// Keeps one file of state, or answers as told.
class FakeKeeper : public Keeper {
 public:
  absl::Status Save(const KeptName& name, const std::string& path, std::stop_token stop) override {
    names.push_back("save " + name.key + name.memo);
    if (on_save != nullptr) return on_save(stop);
    absl::StatusOr<std::string> bytes = ReadFile(path, 1 << 20);
    if (bytes.ok()) state = *bytes;
    return bytes.status();
  }
  absl::Status Load(const KeptName& name, const std::string& path, std::stop_token) override {
    names.push_back("load " + name.key + name.memo);
    if (state.empty()) return absl::NotFoundError("nothing is kept");
    return WriteFile(path, state);
  }
  std::string state;
  std::vector<std::string> names;
  std::function<absl::Status(std::stop_token)> on_save;
};

class ComputeProcessTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }

  std::unique_ptr<ComputeProcess> Start(const ComputeOptions& options = {.binary = FAKE_COMPUTE}) {
    absl::StatusOr<std::unique_ptr<ComputeProcess>> process = ComputeProcess::Start(options);
    EXPECT_OK(process);
    return *std::move(process);
  }
  std::string JobFolder(const std::string& analysis) {
    JobRequest request;
    request.analysis = analysis;
    std::string folder = absl::StrCat(folder_.path(), "/", ++jobs_);
    EXPECT_OK(MakeJobFolder(folder, request, {}));
    return folder;
  }
  RunOutcome Run(ComputeProcess& process, const std::string& analysis) {
    return process.Run(
        JobFolder(analysis), [] {}, [](const Progress&) {}, {}, /*keeper=*/nullptr);
  }
  // What fake.keep has told of what it loaded and saved.
  std::vector<std::string> RunKeeping(ComputeProcess& process, Keeper* keeper) {
    std::vector<std::string> told;
    RunOutcome outcome = process.Run(
        JobFolder("fake.keep"), [] {},
        [&](const Progress& p) { told.push_back(absl::StrCat(p.phase, " ", p.message)); }, {},
        keeper);
    told.push_back(outcome.status.ToString());
    return told;
  }
  // Asks to stop as soon as the child has started.
  RunOutcome RunAndStop(ComputeProcess& process, const std::string& analysis) {
    std::stop_source stop;
    return process.Run(
        JobFolder(analysis), [&] { stop.request_stop(); }, [](const Progress&) {}, stop.get_token(),
        /*keeper=*/nullptr);
  }
  // A program that is a shell script.
  absl::Status StartScript(const std::string& text, absl::Duration timeout = absl::Seconds(60)) {
    std::string path = folder_.path() + "/script";
    EXPECT_OK(WriteFile(path, "#!/bin/sh\n" + text + "\n"));
    EXPECT_EQ(chmod(path.c_str(), 0755), 0);
    return ComputeProcess::Start({.binary = path, .start_timeout = timeout}).status();
  }

  TemporaryFolder folder_ = TemporaryFolder::Make().value();
  int jobs_ = 0;
};

TEST_F(ComputeProcessTest, ReadyTellsEngineAndAnalyses) {
  auto process = Start();
  EXPECT_EQ(process->engine().build, "fake");
  EXPECT_EQ(process->analyses().front(), std::make_pair(std::string("fake.ok"), int64_t{1}));
  EXPECT_TRUE(process->alive());
}

TEST_F(ComputeProcessTest, OutOfMemoryIsToldWithItsNumbers) {
  auto process = Start();
  RunOutcome outcome = Run(*process, "fake.oom");
  EXPECT_EQ(outcome.end, RunEnd::kOutOfMemory);
  EXPECT_EQ(outcome.memory.needed_bytes, 3000);
  EXPECT_EQ(outcome.memory.available_bytes, 2000);
  EXPECT_TRUE(process->alive());
}

TEST_F(ComputeProcessTest, KillThatTheKernelCountsIsOutOfMemory) {
  std::string folder = JobFolder("fake.oomkill"), group = folder + "/sys/fs/cgroup";
  ASSERT_OK(MakeFolders(group));
  ASSERT_OK(WriteFile(group + "/memory.max", "50000000\n"));
  ASSERT_OK(WriteFile(group + "/memory.events", "oom_kill 0\n"));
  auto process = Start({.binary = FAKE_COMPUTE, .system_root = folder});
  RunOutcome outcome = process->Run(
      folder, [] {}, [](const Progress&) {}, {}, /*keeper=*/nullptr);
  EXPECT_EQ(outcome.end, RunEnd::kOutOfMemory);
  EXPECT_THAT(outcome.status,
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("the limit is 50000000")));
  EXPECT_GT(outcome.memory.needed_bytes, 0);
  EXPECT_EQ(outcome.memory.available_bytes, 50000000);
}

TEST_F(ComputeProcessTest, JobRunsWithProgressAndLeavesItsResult) {
  auto process = Start();
  std::vector<std::string> seen;
  std::string folder = JobFolder("fake.ok");
  RunOutcome outcome = process->Run(
      folder, [&] { seen.push_back("started"); },
      [&](const Progress& p) { seen.push_back(absl::StrCat(p.fraction, p.phase, p.message)); }, {},
      nullptr);
  EXPECT_EQ(outcome.end, RunEnd::kFinished);
  EXPECT_OK(outcome.status);
  EXPECT_EQ(outcome.seconds, 0.25);
  EXPECT_EQ(outcome.peak_host_bytes, 1000);
  EXPECT_THAT(seen, ElementsAre("started", "0.5halfway"));
  EXPECT_EQ(access((folder + "/out/result.json").c_str(), R_OK), 0);
}

TEST_F(ComputeProcessTest, OneProcessRunsManyJobs) {
  auto process = Start();
  int pid = process->pid();
  for (int i = 0; i < 20; ++i) ASSERT_OK(Run(*process, "fake.ok").status);
  EXPECT_EQ(process->pid(), pid);
}

TEST_F(ComputeProcessTest, ErrorOfTheAnalysisKeepsCodeMessageAndPayload) {
  auto process = Start();
  RunOutcome outcome = Run(*process, "fake.refuse");
  EXPECT_EQ(outcome.end, RunEnd::kFinished);
  EXPECT_THAT(outcome.status, StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("k is 0; 1..4096 is allowed")));
  EXPECT_EQ(outcome.status.GetPayload("test/payload"), absl::string_view("\x00\xff", 2));
  EXPECT_TRUE(process->alive());
}

TEST_F(ComputeProcessTest, CrashTellsSignalLastWordsAndMemory) {
  auto process = Start();
  RunOutcome outcome = Run(*process, "fake.crash");
  EXPECT_EQ(outcome.end, RunEnd::kCrashed);
  EXPECT_THAT(outcome.status,
              StatusIs(absl::StatusCode::kInternal, HasSubstr("was killed by signal 9 (Killed)")));
  EXPECT_EQ(outcome.stderr_tail, "last words \xEF\xBF\xBD\n");
  EXPECT_GT(outcome.peak_host_bytes, 0);
  EXPECT_FALSE(process->alive());
  EXPECT_EQ(Run(*process, "fake.ok").end, RunEnd::kCrashed);  // a dead process runs nothing
}

TEST_F(ComputeProcessTest, KillWhileIdleIsNoticed) {
  auto process = Start();
  kill(process->pid(), SIGKILL);
  RunOutcome outcome = Run(*process, "fake.ok");
  EXPECT_EQ(outcome.end, RunEnd::kCrashed);
  EXPECT_THAT(outcome.status.message(), HasSubstr("signal 9"));
}

TEST_F(ComputeProcessTest, CancelLetsTheChildEndAndLive) {
  auto process = Start({.binary = FAKE_COMPUTE, .cancel_grace = absl::Seconds(60)});
  RunOutcome outcome = RunAndStop(*process, "fake.wait");
  EXPECT_EQ(outcome.end, RunEnd::kCancelled);
  EXPECT_THAT(outcome.status, StatusIs(absl::StatusCode::kCancelled, HasSubstr("as asked")));
  EXPECT_TRUE(process->alive());
  EXPECT_OK(Run(*process, "fake.ok").status);  // the old request does not stop the next job
}

TEST_F(ComputeProcessTest, ChildThatIgnoresCancelIsKilledAfterTheGrace) {
  auto process = Start({.binary = FAKE_COMPUTE, .cancel_grace = absl::Milliseconds(50)});
  int pid = process->pid();
  RunOutcome outcome = RunAndStop(*process, "fake.deaf");
  EXPECT_EQ(outcome.end, RunEnd::kCancelled);
  EXPECT_THAT(outcome.status,
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("did not stop by itself")));
  EXPECT_FALSE(process->alive());
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST_F(ComputeProcessTest, StopRequestedBeforehandCancels) {
  auto process = Start({.binary = FAKE_COMPUTE, .cancel_grace = absl::Seconds(60)});
  std::stop_source stop;
  stop.request_stop();
  RunOutcome outcome = process->Run(
      JobFolder("fake.wait"), [] {}, [](const Progress&) {}, stop.get_token(), nullptr);
  EXPECT_EQ(outcome.end, RunEnd::kCancelled);
}

TEST_F(ComputeProcessTest, AKeeperAnswersWhatTheJobAsks) {
  auto process = Start();
  FakeKeeper keeper;
  EXPECT_THAT(RunKeeping(*process, &keeper),
              ElementsAre("loaded NOT_FOUND: nothing is kept", "saved OK", "OK"));
  EXPECT_EQ(keeper.state, "0+1");
  EXPECT_THAT(RunKeeping(*process, &keeper), ElementsAre("loaded 0+1", "saved OK", "OK"));
  EXPECT_EQ(keeper.state, "0+1+1");
  EXPECT_THAT(keeper.names, ElementsAre("load k", "save k", "load k", "save k"));
}

TEST_F(ComputeProcessTest, WithoutAKeeperQuestionsAreAnsweredToo) {
  auto process = Start();
  EXPECT_THAT(RunKeeping(*process, nullptr),
              ElementsAre("loaded FAILED_PRECONDITION: nothing is kept here",
                          "saved FAILED_PRECONDITION: nothing is kept here", "OK"));
}

TEST_F(ComputeProcessTest, AnErrorOfTheKeeperReachesTheJob) {
  auto process = Start();
  FakeKeeper keeper;
  keeper.on_save = [](std::stop_token) { return absl::AbortedError("the lease is another's"); };
  EXPECT_THAT(RunKeeping(*process, &keeper), ElementsAre("loaded NOT_FOUND: nothing is kept",
                                                         "saved ABORTED: the lease is another's",
                                                         "ABORTED: the lease is another's"));
  EXPECT_TRUE(process->alive());
}

TEST_F(ComputeProcessTest, AStopWhileTheKeeperWorksEndsTheJob) {
  auto process = Start({.binary = FAKE_COMPUTE, .cancel_grace = absl::Seconds(60)});
  FakeKeeper keeper;
  std::stop_source stop;
  keeper.on_save = [&](std::stop_token token) {  // as a call does that a stop cancels
    stop.request_stop();
    EXPECT_TRUE(token.stop_requested());
    return absl::CancelledError("asked to stop");
  };
  RunOutcome outcome = process->Run(
      JobFolder("fake.keep"), [] {}, [](const Progress&) {}, stop.get_token(), &keeper);
  EXPECT_EQ(outcome.end, RunEnd::kCancelled);
  EXPECT_TRUE(process->alive());
  EXPECT_OK(Run(*process, "fake.ok").status);
}

TEST_F(ComputeProcessTest, FloodOnStderrIsReadAndItsEndKept) {
  auto process = Start();
  RunOutcome outcome = Run(*process, "fake.flood");
  ASSERT_OK(outcome.status);
  EXPECT_LE(outcome.stderr_tail.size(), 64u << 10);
  RunOutcome crash = Run(*process, "fake.crash");        // by its end all of stderr has been read
  EXPECT_EQ(crash.stderr_tail.size(), (64u << 10) + 2);  // one byte became a character of three
  EXPECT_THAT(crash.stderr_tail, EndsWith("016383\nlast words \xEF\xBF\xBD\n"));
}

TEST_F(ComputeProcessTest, WordsOutsideTheProtocolEndTheProcess) {
  auto junk = Start();
  RunOutcome outcome = Run(*junk, "fake.junk");
  EXPECT_EQ(outcome.end, RunEnd::kCrashed);
  EXPECT_THAT(outcome.status.message(), HasSubstr("libtorch says hello"));
  EXPECT_FALSE(junk->alive());

  auto endless = Start();
  outcome = Run(*endless, "fake.long");
  EXPECT_EQ(outcome.end, RunEnd::kCrashed);
  EXPECT_THAT(outcome.status.message(), HasSubstr(absl::StrCat("more than ", kLineBytesMax)));
}

TEST_F(ComputeProcessTest, ChildInheritsNothingButItsPipes) {
  std::vector<UniqueFd> leaks;  // without close-on-exec, low and high
  for (int i = 0; i < 30; ++i) leaks.emplace_back(open("/dev/null", O_RDONLY));
  sigset_t block;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &block, nullptr);
  setenv("RADIOGRAPH_TOKEN", "secret", 1);
  auto process = Start({.binary = FAKE_COMPUTE, .device = "GPU-1234"});
  unsetenv("RADIOGRAPH_TOKEN");
  pthread_sigmask(SIG_UNBLOCK, &block, nullptr);
  EXPECT_EQ(Run(*process, "fake.self").status.message(),
            "fds=0,1,2,3,4 leader=1 blocked=0 sigpipe_default=1 cuda=GPU-1234 token=unset");
}

TEST_F(ComputeProcessTest, CpuProcessSeesNoGpu) {
  EXPECT_THAT(std::string(Run(*Start(), "fake.self").status.message()), HasSubstr(" cuda= "));
}

TEST_F(ComputeProcessTest, PipesThatComeLowAreNotMixedUp) {
  // With 0, 3 and 4 free, the pipes' ends are where the child's descriptors must come to lie.
  int saved = dup(0);
  close(0);
  auto process = Start();
  EXPECT_OK(Run(*process, "fake.ok").status);
  dup2(saved, 0);
  close(saved);
}

TEST_F(ComputeProcessTest, DestructionLeavesNoChild) {
  auto process = Start();
  int pid = process->pid();
  process.reset();
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(ComputeProcessTest, FailedStartSaysWhy) {
  EXPECT_THAT(ComputeProcess::Start({.binary = "/nonexistent/compute"}).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/compute")));
  EXPECT_THAT(StartScript("echo no such library >&2; exit 3"),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("exited with status 3"), HasSubstr("no such library"))));
  EXPECT_THAT(StartScript("echo hello >&4"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no message of the protocol")));
}

TEST_F(ComputeProcessTest, SilentStartTimesOut) {
  EXPECT_THAT(StartScript("read line <&3", absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("was silent for 50ms")));
}

TEST(SiblingProgram, FindsItsNeighbourOrNamesThePath) {
  ASSERT_OK_AND_ASSIGN(std::string path, SiblingProgram("process_test"));
  EXPECT_THAT(path, EndsWith("/process_test"));
  EXPECT_THAT(SiblingProgram("no-such"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no-such")));
}

}  // namespace
}  // namespace radiograph
