// What is known about slots: who is there, who can take what.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/jobs/lease_desk.h"
#include "server/jobs/lifecycle.h"

namespace radiograph {
namespace {

constexpr size_t kSlotNameBytesMax = 128;
constexpr size_t kProgressTextBytesMax = 4 << 10;
constexpr int kOfferedAnalysesMax = 1000;

std::string Described(const v1::Job& job) {
  return absl::StrCat(job.analysis(), "@", job.analysis_version());
}

bool Offers(const v1::SynchronizeRequest& slot, const v1::Job& job) {
  return std::any_of(
      slot.analyses().begin(), slot.analyses().end(), [&](const v1::OfferedAnalysis& offered) {
        return offered.name() == job.analysis() && offered.version() == job.analysis_version();
      });
}

bool HasDevice(const v1::SynchronizeRequest& slot, const v1::Job& job) {
  return job.device_kind().empty() || job.device_kind() == slot.engine().device_kind();
}

absl::Status CheckReport(const v1::AttemptReport& report) {
  ASSIGN_OR_RETURN(Happening what, ParseOutcome(report.outcome()));
  if (what == Happening::kLost)
    return absl::InvalidArgumentError("only the server finds an attempt LOST");
  if ((what == Happening::kSucceeded) == report.result().empty()) {
    return absl::InvalidArgumentError("a result belongs to a SUCCEEDED attempt, and to no other");
  }
  return absl::OkStatus();
}

absl::Status CheckRequest(const v1::SynchronizeRequest& request) {
  if (request.slot().empty() || request.slot().size() > kSlotNameBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "slot has ", request.slot().size(), " bytes; 1..", kSlotNameBytesMax, " are allowed"));
  }
  if (request.incarnation().empty()) return absl::InvalidArgumentError("incarnation is missing");
  if (request.state() < v1::IDLE || request.state() > v1::DONE) {
    return absl::InvalidArgumentError(
        absl::StrCat("state is ", request.state(), "; IDLE, FETCHING, BUSY or DONE is allowed"));
  }
  if (request.analyses_size() > kOfferedAnalysesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        request.analyses_size(), " analyses are offered; ", kOfferedAnalysesMax, " are allowed"));
  }
  const v1::SlotProgress& progress = request.progress();
  if (progress.phase().size() + progress.message().size() > kProgressTextBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("progress has more than ", kProgressTextBytesMax, " bytes of text"));
  }
  return request.state() == v1::DONE ? CheckReport(request.report()) : absl::OkStatus();
}

}  // namespace

absl::Status LeaseDesk::Admit(const v1::SynchronizeRequest& request) {
  if (shut_down_) return absl::UnavailableError("the server stops");
  RETURN_IF_ERROR(CheckRequest(request));
  if (slots_.contains(request.slot())) return absl::OkStatus();
  ForgetSilentSlots();
  if (static_cast<int64_t>(slots_.size()) >= options_.slots_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", options_.slots_max, " slots already"));
  }
  return absl::OkStatus();
}

// A slot is silent when it holds no lease and has not called for a term.
void LeaseDesk::ForgetSilentSlots() {
  std::erase_if(slots_, [&](const auto& entry) {
    const Slot& slot = entry.second;
    return !IsAlive(slot) && slot.token.empty() && !slot.claiming &&
           (slot.poll == nullptr || slot.poll->answered());
  });
}

bool LeaseDesk::IsAlive(const Slot& slot) const {
  return clock_->Monotonic() - slot.seen <= options_.lease_term;
}

LeaseDesk::OpenLease* LeaseDesk::LeaseOf(const Slot& slot) {
  auto found = leases_.find(slot.token);
  return found == leases_.end() ? nullptr : &found->second;
}

bool LeaseDesk::Fits(const Slot& slot, const JobRow& row) const {
  return Offers(slot.last, row.job) && HasDevice(slot.last, row.job) &&
         row.memory_bytes <= slot.last.memory_bytes();
}

// Wakes one slot. Slots whose claim is on its way may have looked before this job was there: they
// look again.
void LeaseDesk::JobQueued(const JobRow& row) {
  absl::MutexLock lock(&mu_);
  for (auto& [name, slot] : slots_) {
    if (slot.claiming || !slot.token.empty() || slot.last.state() != v1::IDLE ||
        slot.last.draining())
      continue;
    if (slot.poll == nullptr || slot.poll->answered() || !Fits(slot, row)) continue;
    return Claim(slot);
  }
  for (auto& [name, slot] : slots_) {
    if (slot.claiming && Fits(slot, row)) slot.claim_again = true;
  }
}

std::optional<v1::SlotProgress> LeaseDesk::LatestProgress(const std::string& job) {
  absl::MutexLock lock(&mu_);
  for (const auto& [token, lease] : leases_) {
    if (lease.lease.job() == job) return lease.progress;
  }
  return std::nullopt;
}

std::string LeaseDesk::PendingReason(const JobRow& row) {
  const v1::Job& job = row.job;
  bool anybody = false, offered = false, device = false, busy = true;
  int64_t memory_max = 0;
  absl::MutexLock lock(&mu_);
  for (const auto& [name, slot] : slots_) {
    if (!IsAlive(slot) || slot.last.draining()) continue;
    anybody = true;
    if (!Offers(slot.last, job)) continue;
    offered = true;
    if (!HasDevice(slot.last, job)) continue;
    device = true;
    memory_max = std::max(memory_max, slot.last.memory_bytes());
    busy = busy && (!Fits(slot, row) || !slot.token.empty());
  }
  if (!anybody) return "no worker is there";
  if (!offered) return absl::StrCat("no worker offers ", Described(job));
  if (!device) return absl::StrCat("no worker offers ", Described(job), " on ", job.device_kind());
  if (memory_max < row.memory_bytes) {
    return absl::StrCat("it needs ", row.memory_bytes,
                        " bytes of memory; the largest worker that offers ", Described(job),
                        " gives ", memory_max);
  }
  return busy ? "all workers that can run it are busy" : "it is about to be taken";
}

v1::ListWorkersResponse LeaseDesk::ListWorkers() {
  v1::ListWorkersResponse response;
  absl::MutexLock lock(&mu_);
  ForgetSilentSlots();
  for (const auto& [name, slot] : slots_) {
    v1::Worker& worker = *response.add_workers();
    worker.set_slot(name);
    worker.set_state(slot.last.state());
    *worker.mutable_engine() = slot.last.engine();
    worker.set_embedded(slot.embedded);
    if (const OpenLease* lease = LeaseOf(slot)) worker.set_job(lease->lease.job());
  }
  return response;
}

std::map<v1::SlotState, int64_t> LeaseDesk::CountSlots() {
  std::map<v1::SlotState, int64_t> counts;
  absl::MutexLock lock(&mu_);
  ForgetSilentSlots();
  for (const auto& [name, slot] : slots_) ++counts[slot.last.state()];
  return counts;
}

}  // namespace radiograph
