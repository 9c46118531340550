// The real radiograph-compute, as an agent drives it.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/analyses/catalog.h"
#include "core/artifact/resolve.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/process/compute_process.h"
#include "core/process/prepare_job.h"
#include "core/safetensors/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::Contains;

constexpr int kPatienceMs = 60'000;
const char kDigits[] = "tests/data/digits/wd1_noise0.2_seed0/model.safetensors";

class ComputeProgramTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { signal(SIGPIPE, SIG_IGN); }

  static absl::StatusOr<std::unique_ptr<ComputeProcess>> Start() {
    return ComputeProcess::Start(
        {.binary = COMPUTE, .threads = 2, .cancel_grace = absl::Seconds(60)});
  }
  // A folder with a job of bilinear.spectrum on the model in this file.
  std::string SpectrumJob(const std::string& path, const std::string& params) {
    std::string sha256 = Sha256OfFile(path)->sha256;
    std::vector<SourceFile> files = {
        {"model.safetensors", sha256, [path] { return OpenFile(path, O_RDONLY); }}};
    ResolvedArtifact model = ResolveArtifact(ArtifactKind::kModel, files, {}).value();
    PreparedJob job = PrepareJob(**FindSpec("bilinear.spectrum"), ParseJson(params).value(), 0,
                                 {{"model",
                                   {{.label = "model",
                                     .kind = ArtifactKind::kModel,
                                     .files = {{"model.safetensors", sha256}},
                                     .header = model.header,
                                     .digest = model.digest}}}})
                          .value();
    std::string folder = absl::StrCat(folder_.path(), "/", ++jobs_);
    EXPECT_OK(MakeJobFolder(folder, job.request, {{sha256, path}}));
    return folder;
  }
  // A job of many minutes: ten outputs in 512 dimensions, a thousand random rotations.
  std::string EndlessJob() {
    std::string path = folder_.path() + "/large.safetensors";
    using safetensors::DType;
    auto writer = safetensors::Writer::Create(path, {{"blocks.0.w_l", DType::kF32, {256, 512}},
                                                     {"blocks.0.w_r", DType::kF32, {256, 512}},
                                                     {"head.weight", DType::kF32, {10, 256}}});
    std::mt19937 random(1);
    for (const auto& tensor : writer->tensors()) {
      std::vector<float> values(tensor.bytes() / sizeof(float));
      for (float& value : values) value = static_cast<float>(random() % 2001) / 1000 - 1;
      EXPECT_OK(writer->Append(
          {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)}));
    }
    EXPECT_OK(writer->Finish());
    return SpectrumJob(path, R"({"null_draws": 1000})");
  }
  static RunOutcome Run(ComputeProcess& process, const std::string& folder) {
    return process.Run(
        folder, [] {}, [](const Progress&) {}, {}, /*keeper=*/nullptr);
  }
  static std::string Text(const std::string& path) { return ReadFile(path, 1 << 28).value(); }

  TemporaryFolder folder_ = TemporaryFolder::Make().value();
  int jobs_ = 0;
};

TEST_F(ComputeProgramTest, TellsItsEngine) {
  ASSERT_OK_AND_ASSIGN(auto process, Start());
  const Engine& engine = process->engine();
  EXPECT_EQ(engine.build, Sha256OfFile(COMPUTE)->sha256);
  EXPECT_EQ(engine.torch_version.substr(0, 2), "2.");
  EXPECT_EQ(engine.device_kind, "cpu");
  EXPECT_NE(engine.cpu_capability, "");
  EXPECT_EQ(engine.threads, 2);
  EXPECT_GT(process->memory_bytes(), int64_t{1} << 20);
  EXPECT_THAT(process->analyses(),
              Contains(std::make_pair(std::string("bilinear.spectrum"), int64_t{1})));
}

TEST_F(ComputeProgramTest, WarmProcessGivesTheSameBytesAgain) {
  ASSERT_OK_AND_ASSIGN(auto process, Start());
  std::string first = SpectrumJob(kDigits, "{}"), second = SpectrumJob(kDigits, "{}");
  RunOutcome outcome = Run(*process, first);
  ASSERT_OK(outcome.status);
  EXPECT_GT(outcome.peak_host_bytes, 0);
  ASSERT_OK(Run(*process, second).status);
  for (const char* file : {"/out/result.json", "/out/arrays.safetensors"}) {
    EXPECT_EQ(Text(first + file), Text(second + file)) << file;
  }
  EXPECT_EQ(Json::parse(Text(first + "/out/run.json"))["engine"]["build"], process->engine().build);
}

TEST_F(ComputeProgramTest, CancelStopsABusyJobAndKeepsTheProcess) {
  ASSERT_OK_AND_ASSIGN(auto process, Start());
  std::stop_source stop;
  RunOutcome outcome = process->Run(
      EndlessJob(), [] {},
      [&](const Progress& progress) {
        if (progress.phase != "start") stop.request_stop();
      },
      stop.get_token(), /*keeper=*/nullptr);
  EXPECT_EQ(outcome.end, RunEnd::kCancelled);
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kCancelled);
  ASSERT_TRUE(process->alive());
  EXPECT_OK(Run(*process, SpectrumJob(kDigits, "{}")).status);
}

TEST_F(ComputeProgramTest, KilledAgentLeavesNoBusyProcess) {
  std::string job = EndlessJob();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  pid_t agent = fork();
  if (agent == 0) {  // an agent that tells its child's process id once the job is busy
    auto process = Start();
    if (!process.ok()) _exit(1);
    auto tell = [&](const Progress& progress) {
      int pid = (*process)->pid();
      if (progress.phase != "start" && write(ready[1], &pid, sizeof(pid)) < 0) _exit(1);
    };
    (*process)->Run(
        job, [] {}, tell, {}, /*keeper=*/nullptr);
    _exit(1);
  }
  close(ready[1]);
  int pid = 0;
  ASSERT_EQ(read(ready[0], &pid, sizeof(pid)), static_cast<ssize_t>(sizeof(pid)));
  UniqueFd process(syscall(SYS_pidfd_open, pid, 0));
  ASSERT_TRUE(process.valid());
  kill(agent, SIGKILL);
  pollfd exited = {process.get(), POLLIN, 0};
  EXPECT_EQ(poll(&exited, 1, kPatienceMs), 1) << "process " << pid << " is still there";
  waitpid(agent, nullptr, 0);
  close(ready[0]);
}

}  // namespace
}  // namespace radiograph
