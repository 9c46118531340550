#include "server/worker/slot.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/cause.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/process/job_folder.h"
#include "core/results/bundle.h"
#include "server/rpc/status.h"
#include "server/worker/keeper.h"

namespace radiograph {
namespace {

constexpr absl::Duration kStartPauseMin = absl::Seconds(1);
constexpr absl::Duration kStartPauseMax = absl::Seconds(30);

v1::Engine ToProto(const Engine& engine) {
  v1::Engine proto;
  proto.set_build(engine.build);
  proto.set_torch_version(engine.torch_version);
  proto.set_device_kind(engine.device_kind);
  proto.set_device_model(engine.device_model);
  proto.set_cpu_capability(engine.cpu_capability);
  proto.set_threads(engine.threads);
  return proto;
}

std::vector<v1::OfferedAnalysis> ToProto(
    const std::vector<std::pair<std::string, int64_t>>& analyses) {
  std::vector<v1::OfferedAnalysis> offered;
  for (const auto& [name, version] : analyses) {
    v1::OfferedAnalysis& analysis = offered.emplace_back();
    analysis.set_name(name);
    analysis.set_version(version);
  }
  return offered;
}

v1::SlotProgress ToProto(const Progress& progress) {
  v1::SlotProgress proto;
  proto.set_fraction(progress.fraction);
  proto.set_phase(progress.phase);
  proto.set_message(progress.message);
  return proto;
}

// A stop that has been asked for explains every error.
void SetError(const absl::Status& status, StopReason reason, v1::AttemptReport& report) {
  report.set_outcome(reason == StopReason::kCancelled   ? "CANCELLED"
                     : reason == StopReason::kDraining  ? "PREEMPTED"
                     : reason == StopReason::kLeaseLost ? "LOST"  // told to nobody
                                                        : "FAILED");
  *report.mutable_error() = ToRpcStatus(status);
}

// What failed is this machine, or the way to the server, not the job: another attempt may do
// better, elsewhere. ENOSPC, EMFILE, EIO and their like; a cache that is too small.
absl::Status Ours(const absl::Status& status) {
  const bool ours = ErrnoOf(status) != 0 || absl::IsResourceExhausted(status);
  return ours ? absl::UnavailableError(status.message()) : status;
}

void SetRunOutcome(const RunOutcome& outcome, const JobRequest& request, bool stopped,
                   v1::AttemptReport& report) {
  report.set_seconds(outcome.seconds);
  report.set_peak_host_bytes(outcome.peak_host_bytes);
  report.set_peak_device_bytes(outcome.peak_device_bytes);
  if (stopped || (outcome.end != RunEnd::kCrashed && outcome.end != RunEnd::kOutOfMemory)) return;
  report.set_stderr_tail(outcome.stderr_tail);
  *report.mutable_error() = ToRpcStatus(outcome.status);
  report.set_outcome("CRASHED");
  if (outcome.end == RunEnd::kCrashed) return;
  report.set_outcome("OUT_OF_MEMORY");
  report.set_needed_bytes(std::max(outcome.memory.needed_bytes, request.planned_memory_bytes));
  report.set_available_bytes(outcome.memory.available_bytes);
  report.set_help(request.memory_help);
}

}  // namespace

Slot::Slot(Options options, std::shared_ptr<grpc::Channel> channel, BlobSource* blobs)
    : options_(std::move(options)),
      job_folder_(options_.folder + "/job"),
      channel_(channel),
      blobs_(blobs),
      transfer_(channel, options_.link.token),
      link_(options_.link, channel),
      worker_([this] { Work(); }) {}

Slot::~Slot() { link_.Close(); }

void Slot::Work() {
  absl::Duration pause = kStartPauseMin;
  while (!link_.AwaitRest(absl::ZeroDuration())) {
    if (!EnsureCompute().ok()) {  // after a crash, while the report is on its way
      link_.AwaitRest(pause);
      pause = std::min(2 * pause, kStartPauseMax);
      continue;
    }
    pause = kStartPauseMin;
    std::optional<SlotLink::Job> job = link_.AwaitLease();
    if (job.has_value()) link_.Report(Attempt(*job));
  }
}

absl::Status Slot::EnsureCompute() {
  if (compute_ != nullptr && compute_->alive()) return absl::OkStatus();
  link_.SetUnready();
  compute_.reset();
  absl::StatusOr<std::unique_ptr<ComputeProcess>> process = ComputeProcess::Start(options_.compute);
  if (!process.ok()) {
    Log(LogLevel::kError, "compute_not_started",
        {{"slot", options_.link.slot}, {"error", process.status().ToString()}});
    return process.status();
  }
  compute_ = *std::move(process);
  Log(LogLevel::kInfo, "compute_started", {{"slot", options_.link.slot}, {"pid", compute_->pid()}});
  link_.SetReady(ToProto(compute_->engine()), ToProto(compute_->analyses()),
                 compute_->memory_bytes());
  return absl::OkStatus();
}

v1::AttemptReport Slot::Attempt(const SlotLink::Job& job) {
  Log(LogLevel::kInfo, "attempt_begins",
      {{"slot", options_.link.slot}, {"job", job.lease.job()}, {"attempt", job.lease.attempt()}});
  v1::AttemptReport report;
  JobRequest request;
  absl::Status status = EnsureCompute();  // it may have died while it was idle
  if (!status.ok()) {
    report.set_outcome("PREEMPTED");
    *report.mutable_error() = ToRpcStatus(status);
  }
  if (status.ok()) status = Ours(Fetch(job, request));
  if (status.ok()) {
    RunOutcome outcome = Run(job);
    status = ErrnoOf(outcome.status) != 0 ? Ours(outcome.status) : outcome.status;
    SetRunOutcome(outcome, request, job.stop.stop_requested(), report);
  }
  if (status.ok()) status = Ours(Upload(job.stop, report));
  if (status.ok()) {
    report.set_outcome("SUCCEEDED");
  } else if (report.outcome().empty()) {
    SetError(status, job.stop.stop_requested() ? link_.stop_reason() : StopReason::kNone, report);
  }
  absl::Status removed = RemoveTree(job_folder_);
  if (!removed.ok()) Log(LogLevel::kWarning, "job_folder_stays", {{"error", removed.ToString()}});
  Log(LogLevel::kInfo, "attempt_ends",
      {{"slot", options_.link.slot},
       {"job", job.lease.job()},
       {"outcome", report.outcome()},
       {"error", std::string(status.message())}});
  return report;
}

absl::Status Slot::Fetch(const SlotLink::Job& job, JobRequest& request) {
  ASSIGN_OR_RETURN(request, JobRequest::Parse(job.lease.request()));
  std::vector<PinnedFile> pins;  // until the links are made
  std::map<std::string, std::string> paths;
  for (const v1::ArtifactFile& file : job.lease.blobs()) {
    const v1::Blob& blob = file.blob();
    RETURN_IF_ERROR(RetryUnavailable(job.stop, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(PinnedFile pin, blobs_->Fetch(blob.sha256(), blob.size(), job.stop));
      paths[blob.sha256()] = *pin;
      pins.push_back(std::move(pin));
      return absl::OkStatus();
    }));
  }
  RETURN_IF_ERROR(RemoveTree(job_folder_));
  return MakeJobFolder(job_folder_, request, paths);
}

RunOutcome Slot::Run(const SlotLink::Job& job) {
  LeaseKeeper keeper({.lease = job.lease, .slot = options_.link.slot, .token = options_.link.token},
                     channel_, &transfer_, blobs_);
  return compute_->Run(
      job_folder_, [this] { link_.SetStarted(); },
      [this](const Progress& progress) { link_.SetProgress(ToProto(progress)); }, job.stop,
      &keeper);
}

absl::Status Slot::Upload(std::stop_token stop, v1::AttemptReport& report) {
  const std::string out = job_folder_ + "/out";
  ASSIGN_OR_RETURN(std::vector<std::string> names, BundleFiles(out));
  std::vector<std::string> digests;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(FileDigest digest, Sha256OfFile(absl::StrCat(out, "/", name)));
    v1::ArtifactFile& file = *report.add_result();
    file.set_name(name);
    file.mutable_blob()->set_sha256(digest.sha256);
    file.mutable_blob()->set_size(digest.size);
    digests.push_back(digest.sha256);
  }
  absl::StatusOr<std::set<std::string>> missing = transfer_.FindMissing(digests, stop);
  absl::Status status = missing.status();
  for (const v1::ArtifactFile& file : report.result()) {
    if (!status.ok()) break;
    if (missing->erase(file.blob().sha256()) == 0) continue;
    status = transfer_.Upload(absl::StrCat(out, "/", file.name()), file.blob().sha256(),
                              file.blob().size(), stop);
  }
  if (!status.ok()) report.clear_result();
  return status;
}

}  // namespace radiograph
