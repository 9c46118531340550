// radiograph-compute: the process that computes. One per device, driven by an agent over
// descriptors 3 and 4 (process/compute_process.h); no network.
#include <c10/core/CachingDeviceAllocator.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/analyses/analysis.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/flags.h"
#include "core/base/host_memory.h"
#include "core/base/status_macros.h"
#include "core/compute/control.h"
#include "core/compute/machine.h"
#include "core/compute/run_job.h"
#include "core/process/frames.h"
#include "core/tensor/run_torch.h"
#include "core/tensor/runtime.h"

namespace radiograph {
namespace {

constexpr int kFromAgent = 3, kToAgent = 4;

struct Options {
  std::string device = "cpu";
  int64_t threads = 0;
  bool probe = false;
};

// A tiny job: the device answers, and right. [[2, 1], [1, 2]] has the eigenvalues 1 and 3.
absl::Status Probe(at::Device device) {
  return RunTorch([&]() -> absl::Status {
    at::Tensor matrix = at::full({2, 2}, 1, at::TensorOptions().dtype(at::kDouble).device(device));
    matrix.diagonal().fill_(2);
    at::Tensor values = std::get<0>(at::linalg_eigh(matrix)).cpu();
    at::Tensor expected = at::arange(1, 4, 2, at::kDouble);
    if (at::allclose(values, expected, 0, 1e-12)) return absl::OkStatus();
    return absl::InternalError(absl::StrCat(device.str(), " finds eigenvalues ",
                                            values[0].item<double>(), " and ",
                                            values[1].item<double>(), " where 1 and 3 are right"));
  });
}

absl::StatusOr<Engine> DescribeEngine(const Options& options) {
  ASSIGN_OR_RETURN(FileDigest build, Sha256OfFile("/proc/self/exe"));
  const char* uuid = std::getenv("CUDA_VISIBLE_DEVICES");
  Engine engine;
  engine.build = build.sha256;
  engine.torch_version = TorchVersion();
  engine.device_kind = options.device == "cpu" ? "cpu" : "cuda";
  engine.device_model = options.device == "cpu" ? CpuModel() : GpuModel(uuid ? uuid : "");
  engine.cpu_capability = CpuCapability();
  engine.threads = options.threads;
  return engine;
}

// An agent that is gone needs no answer; its end ends this process (Control).
void Say(const FrameFromCompute& frame) {
  if (!WriteAll(kToAgent, ToLine(frame), "the pipe to the agent").ok()) _exit(EXIT_SUCCESS);
}

absl::StatusOr<int64_t> DeviceMemoryBytes(at::Device device) {
  if (device.is_cpu()) return HostMemoryOf(getpid()).limit_bytes;
  int64_t bytes = 0;
  RETURN_IF_ERROR(RunTorch([&] {
    bytes = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index()).second;
    return absl::OkStatus();
  }));
  return bytes;
}

[[noreturn]] void Serve(const ComputeEnvironment& environment, int64_t memory_bytes) {
  static Control control(kFromAgent);
  ReadyFrame ready{environment.engine, {}, memory_bytes};
  for (const Analysis& analysis : environment.analyses) {
    ready.analyses.emplace_back(analysis.spec().name(), analysis.spec().version());
  }
  Say(ready);
  int64_t questions = 0;
  while (true) {
    Control::Job job = control.Next();
    Say(StartedFrame{});
    AskAgent ask;
    if (job.keeps) {
      ask = [&](AskFrame::What what, const KeptName& name) {
        Say(AskFrame{++questions, what, name});
        return control.AwaitAnswer(questions, job.stop);
      };
    }
    DoneFrame done = RunJob(
        environment, job.folder, [](const Progress& p) { Say(p); }, job.stop, ask);
    Say(done);
    // An error of CUDA stays: every later call would fail too. The agent starts another process.
    if (!environment.device.is_cpu() && absl::IsInternal(done.status)) _exit(EXIT_FAILURE);
    malloc_trim(0);
  }
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "radiograph-compute: %s\n", status.ToString().c_str());
  return 1;
}

// Of the C library's allocator: tensors of one job take the place of each other, in one arena. By
// default large ones are mapped anew and given back each time; touching fresh pages took a sixth of
// the time of ten decompositions of 784 x 784. Between jobs everything goes back (Serve).
void KeepMemory() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

int Main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  KeepMemory();
  Options options;
  Flags flags(
      "radiograph-compute",
      "Computes what an agent (radiographd, radiograph-worker, radiograph run --local) gives it.");
  flags.AddWord("device", &options.device, {"cpu", "cuda:0"}, "where tensors live");
  flags.Add("threads", &options.threads, {0, 4096}, "of LibTorch; 0: the usable cores");
  flags.Add("probe", &options.probe, "run a tiny job on the device and end");
  if (std::optional<int> code = flags.ParseOrExit(argc, argv)) return *code;
  if (options.threads == 0) options.threads = UsableCores();
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/1);  // repeatable sums on CUDA
  ConfigureTorch(options.threads);
  at::Device device(options.device);
  if (absl::Status status = Probe(device); !status.ok()) return Fail(status);
  if (options.probe) return 0;
  if (fcntl(kFromAgent, F_GETFD) < 0 || fcntl(kToAgent, F_GETFD) < 0) {
    return Fail(
        absl::FailedPreconditionError("an agent starts this program, with pipes on descriptors 3 "
                                      "and 4; by hand there is --probe"));
  }
  absl::StatusOr<Engine> engine = DescribeEngine(options);
  if (!engine.ok()) return Fail(engine.status());
  absl::StatusOr<int64_t> memory_bytes = DeviceMemoryBytes(device);
  if (!memory_bytes.ok()) return Fail(memory_bytes.status());
  Serve({.analyses = Registry(), .device = device, .engine = *std::move(engine)}, *memory_bytes);
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) { return radiograph::Main(argc, argv); }
