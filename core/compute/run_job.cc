#include "core/compute/run_job.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <fcntl.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/artifact/tensor_files.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/compute/machine.h"
#include "core/process/job_folder.h"
#include "core/results/bundle.h"
#include "core/tensor/run_torch.h"

namespace radiograph {
namespace {

constexpr int64_t kJobBytesMax = 256 << 20;
using Say = absl::FunctionRef<void(const Progress&)>;

class JobContext : public Context {
 public:
  JobContext(const ComputeEnvironment& environment, int64_t seed, Say say, std::stop_token stop,
             KeptBundles kept)
      : environment_(environment),
        seed_(seed),
        say_(say),
        stop_(std::move(stop)),
        kept_(std::move(kept)) {}

  at::Device device() const override { return environment_.device; }
  int64_t threads() const override { return environment_.engine.threads; }
  uint64_t seed() const override { return seed_; }

  absl::Status Progress(double fraction, absl::string_view phase,
                        absl::string_view message) override {
    if (stop_.stop_requested()) return absl::CancelledError("the job was asked to stop");
    const absl::Duration now = SystemClock().Monotonic();
    if (phase == phase_ && now - told_ < kProgressInterval) return absl::OkStatus();
    phase_ = std::string(phase);
    told_ = now;
    say_({std::clamp(fraction, 0.0, 1.0), phase_, std::string(message)});
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<Bundle>> Load(absl::string_view key) override {
    return kept_.Load(key);
  }
  absl::Status Save(absl::string_view key, const Bundle& bundle) override {
    return kept_.Save(key, bundle);
  }
  absl::StatusOr<Bundle> Memo(absl::string_view digest,
                              absl::FunctionRef<absl::StatusOr<Bundle>()> compute) override {
    return kept_.Memo(digest, compute);
  }

 private:
  const ComputeEnvironment& environment_;
  const uint64_t seed_;
  const Say say_;
  const std::stop_token stop_;
  std::string phase_;
  absl::Duration told_ = -absl::InfiniteDuration();
  KeptBundles kept_;
};

absl::StatusOr<const Analysis*> FindAnalysis(absl::Span<const Analysis> analyses,
                                             const JobRequest& request) {
  for (const Analysis& analysis : analyses) {
    if (analysis.spec().name() == request.analysis &&
        analysis.spec().version() == request.version) {
      return &analysis;
    }
  }
  return absl::FailedPreconditionError(absl::StrCat("this radiograph-compute does not offer ",
                                                    request.analysis, "@", request.version));
}

absl::StatusOr<Artifact> LoadArtifact(const std::string& folder, const JobInput& input) {
  Artifact artifact;
  artifact.digest = input.digest;
  artifact.header.architecture = input.architecture;
  artifact.header.roles = input.roles;
  std::vector<SourceFile> sources;
  for (const NamedBlob& file : input.files) {
    const std::string path = absl::StrCat(folder, "/blobs/", file.sha256);
    sources.push_back({file.name, file.sha256, [path] { return OpenFile(path, O_RDONLY); }});
    if (file.name == kNamesFile) {
      ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kNamesBytesMax));
      ASSIGN_OR_RETURN(artifact.names, ParseNames(text));
    }
  }
  const bool is_model = input.kind == Name(ArtifactKind::kModel);
  ASSIGN_OR_RETURN(
      TensorFiles tensors,
      ReadTensorFiles(is_model ? ArtifactKind::kModel : ArtifactKind::kDataset, sources));
  for (const NamedBlob& file : input.files) {
    const bool passed_over = std::find(tensors.passed_over.begin(), tensors.passed_over.end(),
                                       file.name) != tensors.passed_over.end();
    if (passed_over || !absl::EndsWith(file.name, ".safetensors")) continue;
    const std::string path = absl::StrCat(folder, "/blobs/", file.sha256);
    ASSIGN_OR_RETURN(artifact.files[file.name], safetensors::MappedTensors::Open(path, file.name));
  }
  artifact.header.tensors = std::move(tensors.tensors);
  artifact.header.missing = std::move(tensors.missing);
  artifact.file_of = std::move(tensors.file_of);
  return artifact;
}

absl::StatusOr<Inputs> LoadInputs(const std::string& folder, const JobRequest& request) {
  Inputs inputs;
  for (const auto& [name, artifacts] : request.inputs) {
    for (const JobInput& input : artifacts) {
      ASSIGN_OR_RETURN(Artifact artifact, LoadArtifact(folder, input));
      inputs.artifacts[name].push_back(std::move(artifact));
    }
  }
  return inputs;
}

ResultIdentity IdentityOf(const JobRequest& request, const ParamValues& params) {
  ResultIdentity identity;
  identity.analysis = request.analysis;
  identity.version = request.version;
  identity.params = params;
  identity.seed = request.seed;
  for (const auto& [name, artifacts] : request.inputs) {
    for (const JobInput& input : artifacts) identity.inputs[name].push_back(input.digest);
  }
  return identity;
}

// Peaks since the start of the job. A device counts what its allocator handed out; one that is
// broken by now counts nothing.
void ResetPeaks(at::Device device) {
  ResetPeakHostBytes();
  if (device.is_cpu()) return;
  absl::Status status = RunTorch([&] {
    at::getDeviceAllocator(device.type())->resetPeakStats(device.index());
    return absl::OkStatus();
  });
  if (!status.ok()) Log(LogLevel::kWarning, "device_stats", {{"error", status.ToString()}});
}

int64_t PeakDeviceBytes(at::Device device) {
  int64_t peak = 0;
  if (device.is_cpu()) return peak;
  absl::Status status = RunTorch([&] {
    auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    peak = stats.allocated_bytes[kAll].peak;
    return absl::OkStatus();
  });
  if (!status.ok()) Log(LogLevel::kWarning, "device_stats", {{"error", status.ToString()}});
  return peak;
}

absl::Status Run(const ComputeEnvironment& environment, const std::string& folder, Say say,
                 std::stop_token stop, AskAgent ask, absl::Duration begin) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(folder + "/job.json", kJobBytesMax));
  ASSIGN_OR_RETURN(JobRequest request, JobRequest::Parse(text));
  ASSIGN_OR_RETURN(const Analysis* analysis, FindAnalysis(environment.analyses, request));
  // The types of the parameters are the Spec's, not those that JSON shows.
  ASSIGN_OR_RETURN(ParamValues params, NormalizeParams(analysis->spec(), ToJson(request.params)));
  ASSIGN_OR_RETURN(Inputs inputs, LoadInputs(folder, request));
  KeptBundles kept({.folder = folder,
                    .device = environment.device,
                    .engine = environment.engine,
                    .pace = environment.save_pace},
                   std::move(ask));
  JobContext context(environment, request.seed, say, std::move(stop), std::move(kept));
  RETURN_IF_ERROR(context.Progress(0, "start", ""));  // it may be cancelled by now
  ASSIGN_OR_RETURN(Result result, analysis->Run(params, inputs, context));
  RunInfo run;
  run.engine = environment.engine;
  run.seconds = absl::ToDoubleSeconds(SystemClock().Monotonic() - begin);
  run.peak_host_bytes = PeakHostBytes();
  run.peak_device_bytes = PeakDeviceBytes(environment.device);
  run.notes = result.run_notes;
  return WriteBundle(folder + "/out", analysis->spec(), IdentityOf(request, params), result, run);
}

}  // namespace

DoneFrame RunJob(const ComputeEnvironment& environment, const std::string& folder,
                 absl::FunctionRef<void(const Progress&)> say, std::stop_token stop, AskAgent ask) {
  const absl::Duration begin = SystemClock().Monotonic();
  ResetPeaks(environment.device);
  DoneFrame done;
  done.status =
      RunTorch([&] { return Run(environment, folder, say, stop, std::move(ask), begin); });
  done.seconds = absl::ToDoubleSeconds(SystemClock().Monotonic() - begin);
  done.peak_host_bytes = PeakHostBytes();
  done.peak_device_bytes = PeakDeviceBytes(environment.device);
  return done;
}

}  // namespace radiograph
