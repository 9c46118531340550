// Lists with filters, aliases and workers: whole command lines against a fake server.
#include <gmock/gmock.h>

#include <sstream>

#include "client/cli/cli.h"
#include "client/cpp/fake_server.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

using testing::FakeServer;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using State = FakeServer::State;

constexpr char kNetwork[] = "tests/data/digits/wd1_noise0.2_seed0";

class ListsTest : public ::testing::Test {
 protected:
  struct Answer {
    ExitCode code;
    std::string out, err;
  };
  Answer Run(std::vector<std::string> arguments) {
    std::ostringstream out, err;
    Console console(out, err, false);
    const std::map<std::string, std::string> environment = {
        {"RADIOGRAPH_ENDPOINT", fake_.endpoint()}, {"HOME", "/nowhere"}};
    const Surroundings surroundings{.environment = [&](const char* name) -> const char* {
                                      const auto found = environment.find(name);
                                      return found == environment.end() ? nullptr
                                                                        : found->second.c_str();
                                    },
                                    .compute_program = "",
                                    .retry = {}};
    const ExitCode code = RunCommandLine(arguments, console, surroundings, {});
    return {code, out.str(), err.str()};
  }

  FakeServer fake_;
};

TEST_F(ListsTest, ListsAreFilteredAndOrdered) {
  auto filter = [&] { return fake_.With([](State& state) { return state.listed.filter(); }); };
  EXPECT_EQ(Run({"jobs", "ls"}).code, ExitCode::kSuccess);
  EXPECT_EQ(filter(), "");
  EXPECT_EQ(Run({"jobs", "ls", "--state", "running"}).code, ExitCode::kSuccess);
  EXPECT_EQ(filter(), "state = RUNNING");
  EXPECT_EQ(Run({"jobs", "ls", "--filter", "seed = 1 OR seed = 2", "--state=failed", "--label",
                 "a \"b\"=c*\\", "--order-by", "end_time desc"})
                .code,
            ExitCode::kSuccess);
  EXPECT_EQ(filter(), R"(seed = 1 OR seed = 2 AND state = FAILED AND labels."a \"b\"" = "c\*\\")");
  fake_.With([](State& state) { EXPECT_EQ(state.listed.order_by(), "end_time desc"); });
  EXPECT_EQ(Run({"models", "ls", "net", "--filter", "size > 10", "--label=step=7"}).code,
            ExitCode::kSuccess);
  fake_.With([](State& state) {
    EXPECT_EQ(state.listed_artifacts.filter(), "size > 10 AND labels.\"step\" = \"7\"");
    EXPECT_EQ(state.listed_artifacts.name(), "net");
    EXPECT_EQ(state.listed_artifacts.kind(), v1::MODEL);
  });
}

TEST_F(ListsTest, AnAliasIsMovedAndRemovedAndShown) {
  ASSERT_EQ(Run({"models", "push", "digits", kNetwork}).code, ExitCode::kSuccess);
  EXPECT_EQ(Run({"models", "alias", "digits@1", "prod", "-o", "csv"}).out,
            "ALIAS,ARTIFACT,ETAG\ndigits:prod,digits@1,new\n");
  EXPECT_EQ(Run({"models", "alias", "digits@1", "prod", "-o", "name"}).out, "digits:prod\n");
  Answer stale = Run({"models", "alias", "digits@1", "prod", "--etag", "old"});
  EXPECT_EQ(stale.code, ExitCode::kRejected);
  EXPECT_THAT(stale.err, HasSubstr("etag new, not old"));
  Answer removed = Run({"models", "alias", "digits@1", "prod", "--rm"});
  EXPECT_EQ(removed.code, ExitCode::kSuccess);
  EXPECT_EQ(removed.out, "");
  EXPECT_THAT(removed.err, HasSubstr("Removed digits:prod from digits@1\n"));
  fake_.With([](State& state) {
    ASSERT_THAT(state.aliases, SizeIs(4));
    EXPECT_EQ(state.aliases[2].etag(), "old");
    EXPECT_FALSE(state.aliases[2].remove());
    EXPECT_TRUE(state.aliases[3].remove());
    state.artifacts[0].add_aliases()->set_alias("best");
    state.artifacts[0].add_aliases()->set_alias("prod");
  });
  EXPECT_THAT(Run({"models", "ls", "-o", "csv"}).out, HasSubstr(",best prod,"));
  EXPECT_THAT(Run({"models", "show", "digits"}).out, HasSubstr("best prod"));
  EXPECT_EQ(Run({"data", "alias", "digits@1", "prod"}).code, ExitCode::kRejected) << "no data set";
  EXPECT_EQ(Run({"models", "alias", "digits@1"}).code, ExitCode::kUsage);
}

TEST_F(ListsTest, WhatIsNoPathIsUtf8) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"jobs", "get", "j\xe9"},
           {"models", "push", "n\xe9", kNetwork},
           {"models", "push", "net", kNetwork, "--label", "k=v\xe9"},
           {"run", "x", "--input", "m\xe9=./x"},
           {"run", "x", "--input", "model=m\xe9"},
           {"jobs", "ls", "--filter", "labels.a = \"\xff\""}}) {
    const Answer answer = Run(arguments);
    EXPECT_EQ(answer.code, ExitCode::kUsage) << arguments[1];
    EXPECT_THAT(answer.err, HasSubstr("which is not UTF-8\n"));
  }
  EXPECT_EQ(Run({"models", "push", "net", "./n\xe9/none.safetensors"}).code, ExitCode::kRejected);
  EXPECT_EQ(Run({"report", "./n\xe9"}).code, ExitCode::kRejected);
}

TEST_F(ListsTest, WorkersAreListedDrainedAndResumed) {
  fake_.With([](State& state) {
    v1::Worker& worker = state.workers.emplace_back();
    worker.set_slot("w1/cpu");
    worker.set_state(v1::BUSY);
    worker.set_job("job-1");
    worker.set_memory_bytes(1 << 30);
    worker.mutable_engine()->set_device_model("abacus");
    worker.set_draining(true);
    worker.set_quarantine("crashed under 3 jobs");
  });
  EXPECT_EQ(Run({"workers", "ls", "-o", "csv"}).out,
            "SLOT,STATE,DEVICE,MEMORY,JOB,\nw1/cpu,BUSY,abacus,1.0 GiB,job-1,drains: takes no more "
            "work; crashed under 3 jobs\n");
  EXPECT_EQ(Run({"workers", "ls", "-o", "name"}).out, "w1/cpu\n");
  EXPECT_THAT(Run({"workers", "ls", "-o", "json"}).out, HasSubstr("\"draining\": true"));
  Answer drained = Run({"workers", "drain", "w1", "w2/cpu", "--grace", "1500ms"});
  EXPECT_EQ(drained.code, ExitCode::kSuccess);
  EXPECT_THAT(drained.err, HasSubstr("w1 takes no more work; what still runs there after 1.5s"));
  EXPECT_EQ(Run({"workers", "resume", "w1"}).code, ExitCode::kSuccess);
  fake_.With([](State& state) {
    ASSERT_THAT(state.drains, SizeIs(3));
    EXPECT_EQ(state.drains[0].name(), "w1");
    EXPECT_EQ(state.drains[0].grace().seconds(), 1);
    EXPECT_EQ(state.drains[0].grace().nanos(), 500'000'000);
    EXPECT_EQ(state.drains[1].name(), "w2/cpu");
    EXPECT_TRUE(state.drains[2].resume());
  });
  EXPECT_EQ(Run({"workers", "drain"}).code, ExitCode::kUsage);
  EXPECT_EQ(Run({"workers", "drain", "w1", "--grace", "soon"}).code, ExitCode::kUsage);
}

}  // namespace
}  // namespace radiograph::cli
