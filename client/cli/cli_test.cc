// Whole command lines against a fake server.
#include "client/cli/cli.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cpp/fake_server.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::FakeServer;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using State = FakeServer::State;

constexpr char kNetwork[] = "tests/data/digits/wd1_noise0.2_seed0";
constexpr char kResult[] =
    R"({"schema":1,"analysis":{"name":"test.spectrum","version":1},"params":{},"seed":5,"inputs":{},)"
    R"("metrics":[{"name":"rank_mean","value":2.5,"unit":"directions","description":"mean rank",)"
    R"("better":"none","exactness":"exact"}],"verdicts":[],"tables":[],"findings":[],"figures":[],)"
    R"("arrays":[],"artifacts":[]})";
const std::map<std::string, std::string> kBundle = {
    {"result.json", kResult},
    {"run.json",
     R"({"engine":{"torch_version":"2.13.0"},"seconds":0.5,"peak_host_bytes":1,"notes":{}})"},
    {"arrays.safetensors", ""},
    {"figures/a.json", "{}"}};

class CliTest : public ::testing::Test {
 protected:
  struct Answer {
    ExitCode code;
    std::string out, err;
  };

  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(TemporaryFolder folder, TemporaryFolder::Make());
    folder_.emplace(std::move(folder));
    environment_ = {{"RADIOGRAPH_ENDPOINT", fake_.endpoint()}, {"HOME", folder_->path()}};
    fake_.With([](State& state) {
      v1::Analysis& analysis = state.analyses.emplace_back();
      analysis.set_name("test.spectrum");
      analysis.set_version(1);
      v1::AnalysisInput* model = analysis.add_inputs();
      model->set_name("model");
      model->set_kind(v1::MODEL);
      auto& schema = *analysis.mutable_json_schema()->mutable_fields();
      auto& k = *(*schema["properties"].mutable_struct_value()->mutable_fields())["k"]
                     .mutable_struct_value()
                     ->mutable_fields();
      k["type"].set_string_value("integer");
    });
  }

  Answer Run(std::vector<std::string> arguments, std::stop_token stop = {}) {
    std::ostringstream out, err;
    Console console(out, err, false);
    Surroundings surroundings{.environment = [this](const char* name) -> const char* {
                                auto found = environment_.find(name);
                                return found == environment_.end() ? nullptr
                                                                   : found->second.c_str();
                              },
                              .compute_program = Path("no-compute"),
                              .retry = {.attempts_max = 2,
                                        .stream_attempts_max = 3,
                                        .pause_first = absl::ZeroDuration(),
                                        .pause_max = absl::ZeroDuration()}};
    ExitCode code = RunCommandLine(arguments, console, surroundings, stop);
    return {code, out.str(), err.str()};
  }
  std::string Path(absl::string_view name) const {
    return absl::StrCat(folder_->path(), "/", name);
  }

  // The next job ends like this; a success leaves kResult.
  void NextJobEnds(v1::JobState state, grpc::StatusCode code = grpc::StatusCode::OK) {
    fake_.With([&](State& fake) {
      fake.next_job.set_state(v1::RUNNING);
      v1::Job ending;
      ending.set_state(state);
      ending.mutable_error()->set_code(code);
      ending.mutable_error()->set_message(
          code == grpc::StatusCode::OK ? "" : "blocks.0.weight holds a NaN");
      for (const auto& [name, bytes] : kBundle) {
        v1::ArtifactFile* file = ending.add_result();
        file->set_name(name);
        file->mutable_blob()->set_sha256(Sha256Hex(bytes));
        file->mutable_blob()->set_size(bytes.size());
        fake.blobs[Sha256Hex(bytes)] = bytes;
      }
      fake.endings["job-1"] = ending;
      v1::JobEvent event;
      event.set_sequence(1);
      event.set_state(v1::RUNNING);
      event.set_phase("eigen");
      fake.events["job-1"] = {event};
    });
  }

  FakeServer fake_;
  std::map<std::string, std::string> environment_;
  std::optional<TemporaryFolder> folder_;
};

TEST_F(CliTest, AWrongCommandOffersTheNearest) {
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  for (const Case& c : std::vector<Case>{
           {{"rnu"}, "there is no command \"rnu\"; nearest: run"},
           {{"jobs"}, "there are jobs ls, jobs get"},
           {{"jobs", "list"}, "\"jobs list\"; there are jobs ls"},
           {{"jobs", "get"}, "radiograph jobs get JOB is how it is written; 0 arguments"},
           {{"jobs", "ls", "--sate=x"}, "no flag --sate here; nearest: --state"},
           {{"jobs", "ls", "--state=x"}, "queued, running"},
           {{"jobs", "ls", "-o", "xml"}, "yaml"},
           {{"run", "x", "--local", "--cache=use"}, "--cache speaks of a server"},
           {{"run", "x", "--seed=-1"}, "--seed is \"-1\"; an integer of 0..9007199254740991"},
           {{}, "a command is needed"}}) {
    Answer answer = Run(c.arguments);
    EXPECT_EQ(answer.code, ExitCode::kUsage) << c.message;
    EXPECT_THAT(answer.err, AllOf(StartsWith("radiograph: "), HasSubstr(c.message)));
  }
}

TEST_F(CliTest, HelpGoesToStdout) {
  EXPECT_THAT(Run({"help"}).out,
              AllOf(HasSubstr("jobs cancel JOB"), HasSubstr("Exit codes: 0 success")));
  EXPECT_THAT(Run({"jobs", "wait", "--help"}).out, HasSubstr("--timeout TIME"));
  Answer run = Run({"help", "run", "bilinear.spectrum"});
  EXPECT_EQ(run.code, ExitCode::kSuccess);
  EXPECT_THAT(run.out, AllOf(HasSubstr("--param NAME=VALUE"), HasSubstr("image_shape")));
}

TEST_F(CliTest, EveryShellCompletesCommandsAndFlags) {
  EXPECT_THAT(Run({"completion", "bash"}).out,
              AllOf(HasSubstr("\"jobs wait\"*) offered=\"--timeout -o"),
                    HasSubstr("COMP_WORDS[COMP_CWORD]"), HasSubstr("compgen -W \"$offered\"")));
  EXPECT_THAT(Run({"completion", "zsh"}).out,
              AllOf(StartsWith("#compdef radiograph\n"), HasSubstr("${(j: :)words[2,CURRENT-1]}"),
                    HasSubstr("    jobs) offered=\"cancel get ls retry rm wait watch\" ;;\n"),
                    HasSubstr("\"completion\"*) offered=\"bash zsh fish --endpoint")));
  EXPECT_THAT(Run({"completion", "fish"}).out,
              AllOf(HasSubstr("'jobs' (__radiograph_line)\" -f -a wait -d '"),
                    HasSubstr("'jobs wait*' (__radiograph_line)\" -l timeout -r -d '"),
                    HasSubstr("an analysis\\' inputs")));
  Answer other = Run({"completion", "csh"});
  EXPECT_EQ(other.code, ExitCode::kUsage);
  EXPECT_THAT(other.err, HasSubstr("bash, zsh and fish are known"));
}

TEST_F(CliTest, VersionAsksTheServerOnlyWhenTold) {
  EXPECT_THAT(Run({"version"}).out, StartsWith("radiograph "));
  EXPECT_EQ(Run({"--version"}).out, Run({"version"}).out);
  EXPECT_THAT(Run({"version", "--server"}).out,
              AllOf(HasSubstr("cpu, abacus, 1.0 GiB\n"), HasSubstr("2 of 5\n"),
                    ::testing::ContainsRegex("your stored bytes +3.0 MiB\n")));
  environment_["RADIOGRAPH_ENDPOINT"] = absl::StrCat("unix:", Path("nobody"));
  EXPECT_EQ(Run({"version"}).code, ExitCode::kSuccess);
  EXPECT_EQ(Run({"version", "--server"}).code, ExitCode::kUnreachable);
}

TEST_F(CliTest, AServerWithoutRoomIsAskedAgainThenTheLimitIsTold) {
  fake_.With([](State& state) { state.faults.exhausted = 1; });
  EXPECT_EQ(Run({"jobs", "ls"}).code, ExitCode::kSuccess);
  fake_.With([](State& state) { state.faults.exhausted = 100; });
  EXPECT_EQ(Run({"jobs", "ls"}).code, ExitCode::kExhausted);
  EXPECT_EQ(fake_.With([](State& state) { return state.faults.exhausted; }), 98) << "asked twice";
  EXPECT_EQ(Run({"jobs", "ls"}).err, "radiograph: 128 calls are open\n");
}

TEST_F(CliTest, NoServerIsOneLineThatHelps) {
  environment_["RADIOGRAPH_ENDPOINT"] = absl::StrCat("unix:", Path("nobody"));
  Answer answer = Run({"jobs", "ls"});
  EXPECT_EQ(answer.code, ExitCode::kUnreachable);
  EXPECT_THAT(answer.err,
              AllOf(HasSubstr(Path("nobody")), HasSubstr("start one with radiographd")));
  EXPECT_EQ(std::count(answer.err.begin(), answer.err.end(), '\n'), 1);
}

TEST_F(CliTest, TheEndpointIsTheArgumentsThenTheEnvironmentsThenTheFiles) {
  ASSERT_OK(MakeFolders(Path(".config/radiograph")));
  ASSERT_OK(WriteFile(Path(".config/radiograph/config.json"),
                      absl::StrCat("{\"endpoint\": \"", fake_.endpoint(), "\"}")));
  const std::string nobody = absl::StrCat("unix:", Path("nobody"));
  environment_["RADIOGRAPH_ENDPOINT"] = nobody;
  EXPECT_EQ(Run({"jobs", "ls"}).code, ExitCode::kUnreachable);
  EXPECT_EQ(Run({"jobs", "ls", "--endpoint", fake_.endpoint()}).code, ExitCode::kSuccess);
  environment_.erase("RADIOGRAPH_ENDPOINT");
  EXPECT_EQ(Run({"jobs", "ls"}).code, ExitCode::kSuccess);
  ASSERT_OK(WriteFile(Path(".config/radiograph/config.json"), R"({"endpont": "x"})"));
  Answer answer = Run({"jobs", "ls"});
  EXPECT_EQ(answer.code, ExitCode::kUsage);
  EXPECT_THAT(answer.err, HasSubstr("\"endpont\" is not known"));
}

TEST_F(CliTest, ATokenIsNotShownWhereOthersCouldReadIt) {
  environment_["RADIOGRAPH_TOKEN"] = "secret";
  EXPECT_EQ(Run({"jobs", "ls"}).code, ExitCode::kSuccess) << "this machine is no network";
  Answer answer = Run({"jobs", "ls", "--endpoint", "192.0.2.1:7433"});
  EXPECT_EQ(answer.code, ExitCode::kNotAllowed);
  EXPECT_THAT(answer.err, AllOf(HasSubstr("without TLS"), HasSubstr("--ca"),
                                HasSubstr("--insecure"), Not(HasSubstr("secret"))));
  EXPECT_EQ(std::count(answer.err.begin(), answer.err.end(), '\n'), 1);
}

TEST_F(CliTest, FilesOfTheConnectionAreThereOrAUsageError) {
  for (const char* flag : {"--token-file", "--ca", "--cert", "--key"}) {
    Answer answer = Run({"jobs", "ls", flag, Path("nothing")});
    EXPECT_EQ(answer.code, ExitCode::kUsage) << flag;
    EXPECT_THAT(answer.err, HasSubstr(Path("nothing"))) << flag;
  }
}

TEST_F(CliTest, RunUploadsAsksWaitsAndShows) {
  NextJobEnds(v1::SUCCEEDED);
  Answer answer = Run({"run", "test.spectrum", "--input", absl::StrCat("model=./", kNetwork),
                       "--param", "k=7", "--seed", "5", "--out", Path("out")});
  EXPECT_EQ(answer.code, ExitCode::kSuccess) << answer.err;
  EXPECT_THAT(answer.out, HasSubstr("rank_mean  2.5    directions  mean rank\n"));
  EXPECT_THAT(answer.err,
              AllOf(HasSubstr("is MODEL wd1_noise0.2_seed0@1\n"), HasSubstr("Job job-1\n"),
                    HasSubstr(absl::StrCat("Report: ", Path("out/report.html")))));
  fake_.With([](State& state) {
    ASSERT_THAT(state.created, SizeIs(1));
    EXPECT_THAT(state.created[0].inputs().at("model").refs(), ElementsAre("wd1_noise0.2_seed0@1"));
    EXPECT_EQ(state.created[0].params().fields().at("k").number_value(), 7);
    EXPECT_EQ(state.created[0].seed(), 5);
    ASSERT_THAT(state.artifacts, SizeIs(1));
    EXPECT_EQ(state.artifacts[0].files(0).name(), "model.safetensors");
    EXPECT_EQ(state.artifacts[0].files(1).name(), "names.json");
  });
  EXPECT_EQ(ReadFile(Path("out/result.json"), 1000).value(), kResult);
  EXPECT_THAT(ReadFile(Path("out/report.html"), 64 << 20).value(), HasSubstr("rank_mean"));
  EXPECT_TRUE(std::filesystem::exists(Path("out/figures/a.json")));
}

TEST_F(CliTest, AnUnknownParameterOrInputNeverReachesTheServer) {
  Answer param = Run({"run", "test.spectrum", "--input=model=m", "--param", "kk=7"});
  EXPECT_EQ(param.code, ExitCode::kRejected);
  EXPECT_THAT(param.err, HasSubstr("params.kk is no parameter of test.spectrum; nearest: k\n"));
  Answer input = Run({"run", "test.spectrum", "--input=modell=m"});
  EXPECT_EQ(input.code, ExitCode::kRejected);
  EXPECT_THAT(input.err, HasSubstr("inputs.modell is no input of test.spectrum; nearest: model\n"));
  fake_.With([](State& state) { EXPECT_THAT(state.created, IsEmpty()); });
}

TEST_F(CliTest, ANameThatIsAPathIsExplained) {
  fake_.With([](State& state) {
    state.create_status =
        grpc::Status(grpc::StatusCode::NOT_FOUND, absl::StrCat("there is no artifact ", kNetwork));
  });
  Answer answer = Run({"run", "test.spectrum", absl::StrCat("--input=model=", kNetwork)});
  EXPECT_EQ(answer.code, ExitCode::kRejected);
  EXPECT_THAT(answer.err, HasSubstr(absl::StrCat("for the path write ./", kNetwork)));
}

TEST_F(CliTest, AJobThatFailsEndsWithItsOwnCode) {
  struct Case {
    v1::JobState state;
    grpc::StatusCode code;
    ExitCode exit;
  };
  for (const Case& c :
       std::vector<Case>{{v1::FAILED, grpc::StatusCode::INVALID_ARGUMENT, ExitCode::kRejected},
                         {v1::FAILED, grpc::StatusCode::RESOURCE_EXHAUSTED, ExitCode::kExhausted},
                         {v1::FAILED, grpc::StatusCode::UNAVAILABLE, ExitCode::kFailed},
                         {v1::CANCELLED, grpc::StatusCode::CANCELLED, ExitCode::kCancelled}}) {
    fake_.With([](State& state) { state.jobs.clear(); });
    NextJobEnds(c.state, c.code);
    Answer answer = Run({"run", "test.spectrum", "--input=model=m"});
    EXPECT_EQ(answer.code, c.exit);
    EXPECT_EQ(answer.out, "");
    EXPECT_THAT(answer.err,
                HasSubstr(absl::StrCat("radiograph: job job-1 ", v1::JobState_Name(c.state),
                                       ": blocks.0.weight holds a NaN\n")));
    fake_.With([](State& state) { state.jobs["job-1"].set_state(v1::RUNNING); });
    EXPECT_EQ(Run({"jobs", "wait", "job-1"}).code, c.exit);
  }
}

TEST_F(CliTest, NoWaitNamesTheJob) {
  fake_.With([](State& state) { state.next_job.set_state(v1::QUEUED); });
  Answer answer = Run({"run", "test.spectrum", "--input=model=m", "--no-wait", "-o", "name"});
  EXPECT_EQ(answer.code, ExitCode::kSuccess);
  EXPECT_EQ(answer.out, "job-1\n");
}

TEST_F(CliTest, WatchTellsEveryEvent) {
  NextJobEnds(v1::SUCCEEDED);
  Answer run = Run({"run", "test.spectrum", "--input=model=m", "--watch", "-o", "json"});
  EXPECT_EQ(run.out, absl::StrCat(kResult, "\n"));
  EXPECT_THAT(run.err, HasSubstr("RUNNING     0%  eigen"));
  Answer watch = Run({"jobs", "watch", "job-1", "-o", "json"});
  EXPECT_EQ(watch.code, ExitCode::kSuccess);
  EXPECT_THAT(watch.out, HasSubstr("\"phase\":\"eigen\""));
}

TEST_F(CliTest, ATimeOutLeavesTheJobAlone) {
  fake_.With([](State& state) { state.next_job.set_state(v1::RUNNING); });
  ASSERT_EQ(Run({"run", "test.spectrum", "--input=model=m", "--no-wait"}).code, ExitCode::kSuccess);
  Answer answer = Run({"jobs", "wait", "job-1", "--timeout", "0s"});
  EXPECT_EQ(answer.code, ExitCode::kTimeOut);
  EXPECT_THAT(answer.err, HasSubstr("it goes on"));
  fake_.With([](State& state) { EXPECT_THAT(state.cancelled, IsEmpty()); });
}

TEST_F(CliTest, CtrlCCancelsTheJobThatRunStarted) {
  NextJobEnds(v1::SUCCEEDED);
  std::stop_source stop;
  stop.request_stop();
  Answer answer = Run({"run", "test.spectrum", "--input=model=m"}, stop.get_token());
  EXPECT_EQ(answer.code, ExitCode::kCancelled);
  EXPECT_THAT(answer.err, HasSubstr("job job-1 was asked to stop"));
  fake_.With([](State& state) { EXPECT_THAT(state.cancelled, Contains("job-1")); });
}

TEST_F(CliTest, PushEndsWithWhatCanBeAsked) {
  Answer answer = Run({"models", "push", "digits", kNetwork, "--step", "12", "--label", "a=b"});
  EXPECT_EQ(answer.code, ExitCode::kSuccess);
  EXPECT_THAT(answer.out, HasSubstr("digits@1"));
  EXPECT_THAT(answer.err, HasSubstr("  radiograph run test.spectrum --input model=digits@1"));
  fake_.With([](State& state) {
    EXPECT_EQ(state.artifacts[0].labels().at("step"), "12");
    EXPECT_EQ(state.artifacts[0].labels().at("a"), "b");
  });
  EXPECT_EQ(Run({"models", "ls", "-o", "name"}).out, "digits@1\n");
  EXPECT_THAT(Run({"models", "show", "digits"}).out, HasSubstr("model.safetensors"));
  EXPECT_EQ(Run({"data", "show", "digits"}).code, ExitCode::kRejected);
}

TEST_F(CliTest, WhatIsPulledIsWhatWasPushed) {
  ASSERT_EQ(Run({"models", "push", "digits", kNetwork}).code, ExitCode::kSuccess);
  EXPECT_EQ(Run({"models", "pull", "digits"}).code, ExitCode::kUsage);
  Answer answer = Run({"models", "pull", "digits@1", "--out", Path("back")});
  EXPECT_EQ(answer.code, ExitCode::kSuccess) << answer.err;
  for (const char* file : {"model.safetensors", "names.json"}) {
    EXPECT_EQ(ReadFile(absl::StrCat(Path("back/"), file), 1 << 20).value(),
              ReadFile(absl::StrCat(kNetwork, "/", file), 1 << 20).value());
  }
  EXPECT_EQ(Run({"data", "pull", "digits", "--out", Path("back")}).code, ExitCode::kRejected);
}

TEST_F(CliTest, ANameNeverLeadsOutOfTheFolder) {
  ASSERT_EQ(Run({"models", "push", "digits", kNetwork}).code, ExitCode::kSuccess);
  fake_.With([](State& state) { state.artifacts[0].mutable_files(1)->set_name("../evil"); });
  Answer answer = Run({"models", "pull", "digits", "--out", Path("back")});
  EXPECT_EQ(answer.code, ExitCode::kInternal);
  EXPECT_THAT(answer.err, HasSubstr("\"../evil\", which is no relative path"));
  EXPECT_FALSE(std::filesystem::exists(Path("back")));
  EXPECT_FALSE(std::filesystem::exists(Path("evil")));
}

TEST_F(CliTest, BytesThatAreOthersAreNotKept) {
  ASSERT_EQ(Run({"models", "push", "digits", kNetwork}).code, ExitCode::kSuccess);
  fake_.With([](State& state) { state.faults.corrupt_reads = true; });
  Answer answer = Run({"models", "pull", "digits", "--out", Path("back")});
  EXPECT_EQ(answer.code, ExitCode::kInternal);
  EXPECT_FALSE(std::filesystem::exists(Path("back/model.safetensors")));
}

TEST_F(CliTest, ASeriesBecomesVersionsAndAListOfInputs) {
  fake_.With([](State& state) {
    v1::AnalysisInput* models = state.analyses[0].add_inputs();
    models->set_name("models");
    models->set_kind(v1::MODEL);
    models->set_list(true);
    state.next_job.set_state(v1::QUEUED);
  });
  ASSERT_OK(MakeFolders(Path("run")));
  for (const char* file : {"run/step-10.safetensors", "run/step-9.safetensors"}) {
    std::filesystem::copy(absl::StrCat(kNetwork, "/model.safetensors"), Path(file));
  }
  const std::string series = Path("run");
  Answer answer = Run({"run", "test.spectrum", "--input=models=other",
                       absl::StrCat("--input=models=", series), "--no-wait"});
  EXPECT_EQ(answer.code, ExitCode::kSuccess) << answer.err;
  fake_.With([](State& state) {
    EXPECT_THAT(state.created[0].inputs().at("models").refs(),
                ElementsAre("other", "run@1", "run@2"));
    EXPECT_EQ(state.artifacts[0].labels().at("step"), "9");
    EXPECT_EQ(state.artifacts[1].labels().at("step"), "10");
  });
  answer = Run({"run", "test.spectrum", absl::StrCat("--input=model=", series)});
  EXPECT_EQ(answer.code, ExitCode::kRejected);
  EXPECT_THAT(answer.err, HasSubstr("stands for 2 models"));
  answer = Run({"models", "push", series, "--step", "3"});
  EXPECT_EQ(answer.code, ExitCode::kRejected);
  EXPECT_THAT(Run({"models", "push", "all", Path("run/*")}).out,
              AllOf(HasSubstr("all@1"), HasSubstr("all@2")));
}

TEST_F(CliTest, OnlyANamedVersionIsRemoved) {
  ASSERT_EQ(Run({"models", "push", "digits", kNetwork}).code, ExitCode::kSuccess);
  Answer answer = Run({"models", "rm", "digits"});
  EXPECT_EQ(answer.code, ExitCode::kUsage);
  EXPECT_THAT(answer.err, HasSubstr("name the version: digits@1 is the newest of digits"));
  EXPECT_EQ(Run({"models", "rm", "digits@1"}).code, ExitCode::kSuccess);
  EXPECT_EQ(Run({"models", "ls", "-o", "name"}).out, "");
}

TEST_F(CliTest, DataBringsItsRoles) {
  Answer answer = Run({"data", "push", "tests/data/digits/test.safetensors", "--role", "labels=y"});
  EXPECT_EQ(answer.code, ExitCode::kSuccess) << answer.err;
  EXPECT_EQ(Run({"data", "ls", "-o", "name"}).out, "test@1\n");
  fake_.With([](State& state) { EXPECT_EQ(state.artifacts[0].roles().at("labels"), "y"); });
}

TEST_F(CliTest, LocalRefusesWhatAServerWouldRefuse) {
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  ASSERT_OK(WriteFile(Path("pickle.safetensors"), "\x80\x02}q\x01(X\x05model weights of long ago"));
  const std::string model = absl::StrCat("--input=model=./", kNetwork);
  for (const Case& c : std::vector<Case>{
           {{"bilinear.spektrum", model}, "nearest are bilinear.spectrum"},
           {{"bilinear.spectrum"}, "inputs.model"},
           {{"bilinear.spectrum", model, "--param", "spaec=input"}, "nearest: space"},
           {{"bilinear.spectrum", model, "--param", "k=0"}, "params.k"},
           {{"bilinear.spectrum", "--input=model=digits@1"}, "--local reads files only"},
           {{"bilinear.spectrum", "--input=model=./nowhere"}, "./nowhere"},
           {{"bilinear.spectrum", absl::StrCat("--input=model=", Path("pickle.safetensors"))},
            "pickle.safetensors: "}}) {
    std::vector<std::string> arguments = {"run", "--local"};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    Answer answer = Run(arguments);
    EXPECT_EQ(answer.code, ExitCode::kRejected) << c.message << answer.err;
    EXPECT_THAT(answer.err, HasSubstr(c.message));
    EXPECT_EQ(answer.out, "");
  }
}

TEST_F(CliTest, ALocalRunWithoutItsProgramIsNotTheUsersFault) {
  Answer answer =
      Run({"run", "bilinear.spectrum", "--local", absl::StrCat("--input=model=./", kNetwork)});
  EXPECT_EQ(answer.code, ExitCode::kInternal);
  EXPECT_THAT(answer.err, HasSubstr("no-compute"));
}

TEST_F(CliTest, ListsComeInEveryFormat) {
  fake_.With([](State& state) {
    v1::Job& job = state.jobs["job-9"];
    job.set_id("job-9");
    job.set_analysis("test.spectrum");
    job.set_state(v1::QUEUED);
    job.set_pending_reason("no worker offers test.spectrum@1");
  });
  EXPECT_EQ(Run({"jobs", "ls", "-o", "name"}).out, "job-9\n");
  EXPECT_EQ(Run({"jobs", "ls", "-o", "csv"}).out,
            "JOB,ANALYSIS,STATE,CREATED,\njob-9,test.spectrum,QUEUED,,no worker offers "
            "test.spectrum@1\n");
  EXPECT_THAT(Run({"jobs", "get", "job-9", "-o", "json"}).out,
              HasSubstr("\"pending_reason\": \"no worker offers"));
  EXPECT_THAT(Run({"analyses", "ls", "-o", "yaml"}).out, StartsWith("- inputs:\n"));
}

TEST_F(CliTest, TheDoctorSaysWhetherAllIsWell) {
  Answer answer = Run({"doctor", "--digests", "--backup", "--collect", "--dry-run"});
  EXPECT_EQ(answer.code, ExitCode::kSuccess);
  EXPECT_EQ(answer.out, "");
  EXPECT_THAT(answer.err, AllOf(HasSubstr("2 blobs, every byte: all is well."),
                                HasSubstr("Backup: /state/backups/now"),
                                HasSubstr("Would forget 7 jobs")));
  EXPECT_THAT(Run({"doctor", "--collect"}).err, HasSubstr("Forgot 3 jobs"));
  EXPECT_THAT(Run({"doctor", "--dry-run"}).err, HasSubstr("--dry-run goes with --collect"));

  fake_.With([](State& state) {
    v1::Problem& problem = state.problems.emplace_back();
    problem.set_reason("BLOB_DAMAGED");
    problem.set_subject("ab12");
    problem.set_text("upload it again");
    problem.add_needed_by("job 7");
  });
  answer = Run({"doctor"});
  EXPECT_EQ(answer.code, ExitCode::kFailed);
  EXPECT_THAT(answer.out, AllOf(HasSubstr("BLOB_DAMAGED"), HasSubstr("ab12"), HasSubstr("job 7"),
                                HasSubstr("upload it again")));
  answer = Run({"doctor", "-o", "json"});
  EXPECT_EQ(answer.code, ExitCode::kFailed);
  EXPECT_THAT(answer.out, AllOf(HasSubstr("\"healthy\": false"), HasSubstr("\"BLOB_DAMAGED\"")));
}

}  // namespace
}  // namespace radiograph::cli
