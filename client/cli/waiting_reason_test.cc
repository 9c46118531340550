// Why a job waits: whole command lines against a fake server.
#include "client/cli/waiting_reason.h"

#include <gmock/gmock.h>

#include <sstream>

#include "client/cpp/fake_server.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

using testing::FakeServer;
using ::testing::HasSubstr;
using ::testing::Not;
using State = FakeServer::State;

class WaitingReasonTest : public ::testing::Test {
 protected:
  struct Answer {
    ExitCode code;
    std::string out, err;
  };
  Answer Run(std::vector<std::string> arguments) {
    std::ostringstream out, err;
    Console console(out, err, false);
    arguments.insert(arguments.end(), {"--endpoint", fake_.endpoint()});
    const Surroundings surroundings{
        .environment = [](const char*) { return nullptr; },
        .compute_program = "",
        .retry = {.pause_first = absl::ZeroDuration(), .pause_max = absl::ZeroDuration()},
        .reason_after = absl::ZeroDuration(),
        .reason_interval = absl::Milliseconds(1)};
    const ExitCode code = RunCommandLine(arguments, console, surroundings, {});
    return {code, out.str(), err.str()};
  }
  // A job that stays as it is until it has been asked for so often, and waits for these reasons.
  // `run` makes it.
  void MakeJob(const std::vector<std::string>& command, int gets, v1::JobState job_state,
               std::vector<std::string> reasons) {
    fake_.With([&](State& state) {
      state.analyses.emplace_back().set_name("x");
      state.next_job.set_state(job_state);
      state.jobs.clear();
      if (command[0] == "jobs") {
        state.jobs["job-1"].set_id("job-1");
        state.jobs["job-1"].set_state(job_state);
      }
      state.endings["job-1"].set_state(v1::SUCCEEDED);
      state.created.clear();
      state.reasons = std::move(reasons);
      state.gets = 0;
      state.gets_before_news = gets;
    });
  }

  FakeServer fake_;
  const std::vector<std::vector<std::string>> commands_ = {
      {"run", "x", "-o", "name"}, {"jobs", "watch", "job-1"}, {"jobs", "wait", "job-1"}};
};

TEST_F(WaitingReasonTest, IsSaidOnceAndAgainWhenItChanges) {
  for (const std::vector<std::string>& command : commands_) {
    MakeJob(command, 6, v1::QUEUED,
            {"no worker is there", "no worker is there", "no worker offers x on cuda"});
    const Answer answer = Run(command);
    EXPECT_EQ(answer.code, ExitCode::kSuccess) << answer.err;
    EXPECT_THAT(answer.err, HasSubstr("Job job-1 waits: no worker is there\n"
                                      "Job job-1 waits: no worker offers x on cuda\n"))
        << command[0] << command[1];
    EXPECT_THAT(answer.out, Not(HasSubstr("waits"))) << "it is no data";
  }
}

TEST_F(WaitingReasonTest, IsNotSaidOfAJobThatHasNoneOrRuns) {
  for (const std::vector<std::string>& command : commands_) {
    MakeJob(command, 3, v1::QUEUED, {""});
    EXPECT_THAT(Run(command).err, Not(HasSubstr("waits")));
    MakeJob(command, 2, v1::RUNNING, {"no worker is there"});
    EXPECT_THAT(Run(command).err, Not(HasSubstr("waits")));
  }
}

TEST_F(WaitingReasonTest, IsSaidToWhoOnlyTakesTheName) {
  fake_.With([](State& state) {
    state.analyses.emplace_back().set_name("x");
    state.next_job.set_state(v1::QUEUED);
    state.next_job.set_pending_reason("no worker is there");
  });
  const Answer answer = Run({"run", "x", "--no-wait", "-o", "name"});
  EXPECT_EQ(answer.out, "job-1\n");
  EXPECT_THAT(answer.err, HasSubstr("Job job-1 waits: no worker is there\n"));
}

}  // namespace
}  // namespace radiograph::cli
