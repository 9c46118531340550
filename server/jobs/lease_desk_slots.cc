// What is known about slots: who is there, who can take what.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "server/jobs/lease_desk.h"
#include "server/jobs/lifecycle.h"
#include "server/store/messages.h"
#include "server/store/quota.h"

namespace radiograph {
namespace {

constexpr size_t kSlotNameBytesMax = 128;
constexpr size_t kProgressTextBytesMax = 4 << 10;
constexpr int kOfferedAnalysesMax = 1000;

constexpr size_t kCrashesInARow = 3;
constexpr absl::Duration kQuarantineMin = absl::Seconds(30);
constexpr absl::Duration kQuarantineMax = absl::Minutes(30);

bool Offers(const v1::SynchronizeRequest& slot, const JobNeeds& needs) {
  return std::any_of(
      slot.analyses().begin(), slot.analyses().end(), [&](const v1::OfferedAnalysis& offered) {
        return offered.name() == needs.analysis && offered.version() == needs.version;
      });
}

bool HasDevice(const v1::SynchronizeRequest& slot, const JobNeeds& needs) {
  return needs.device_kind.empty() || needs.device_kind == slot.engine().device_kind();
}

bool Suits(const v1::SynchronizeRequest& slot, const JobNeeds& needs) {
  return Offers(slot, needs) && HasDevice(slot, needs) && needs.memory_bytes <= slot.memory_bytes();
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
    return QuotaExceeded({.quota = Quota::kSlots,
                          .text = absl::StrCat("there are ", options_.slots_max, " slots already"),
                          .retry = options_.lease_term});
  }
  return absl::OkStatus();
}

// A slot is silent when it holds no lease and has not called for a term.
void LeaseDesk::ForgetSilentSlots() {
  std::erase_if(slots_, [&](const auto& entry) {
    const Slot& slot = entry.second;
    return !IsAlive(slot) && clock_->Monotonic() >= slot.quarantine_end && slot.token.empty() &&
           !slot.claiming && (slot.poll == nullptr || slot.poll->answered());
  });
}

bool LeaseDesk::IsAlive(const Slot& slot) const {
  return clock_->Monotonic() - slot.seen <= options_.lease_term;
}

LeaseDesk::OpenLease* LeaseDesk::LeaseOf(const Slot& slot) {
  auto found = leases_.find(slot.token);
  return found == leases_.end() ? nullptr : &found->second;
}

bool LeaseDesk::IsDrained(const std::string& slot) const {
  return drained_.contains(slot) || drained_.contains(slot.substr(0, slot.rfind('/')));
}

bool LeaseDesk::TakesWork(const Slot& slot) const {
  return !slot.last.draining() && !IsDrained(slot.last.slot()) &&
         clock_->Monotonic() >= slot.quarantine_end;
}

// A slot that crashed under the job is for it only when no other will do.
bool LeaseDesk::Fits(const Slot& slot, const JobNeeds& needs) const {
  if (!Suits(slot.last, needs)) return false;
  auto crashed = [&](const Slot& one) {
    return std::find(needs.crashed_on.begin(), needs.crashed_on.end(), one.last.slot()) !=
           needs.crashed_on.end();
  };
  if (!crashed(slot)) return true;
  return std::none_of(
      slots_.begin(), slots_.end(), [&](const auto& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        const Slot& other = entry.second;
        return IsAlive(other) && TakesWork(other) && !crashed(other) && Suits(other.last, needs);
      });
}

// `sick`: the attempt says something of the slot, not of the job.
void LeaseDesk::NoteEnd(Slot& slot, const std::string& job, absl::string_view outcome, bool sick) {
  if (!sick && (outcome == "SUCCEEDED" || outcome == "FAILED" || outcome == "OUT_OF_MEMORY")) {
    slot.crashed.clear();
    slot.quarantines = 0;
  }
  if (!sick) return;
  slot.crashed.insert(job);
  if (slot.crashed.size() < kCrashesInARow) return;
  slot.crashed.clear();
  const absl::Duration pause =
      std::min(kQuarantineMax, kQuarantineMin * (1 << std::min(slot.quarantines++, 10)));
  slot.quarantine_end = clock_->Monotonic() + pause;
  Log(LogLevel::kError, "slot_in_quarantine",
      {{"slot", slot.last.slot()}, {"seconds", absl::ToInt64Seconds(pause)}});
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
  if (!job.merged_into().empty()) {
    return absl::StrCat("job ", job.merged_into(), " does the same work; its result is awaited");
  }
  absl::MutexLock lock(&mu_);
  if (delayed_.contains(job.id())) {
    return absl::StrCat(
        job.attempts().empty() ? "not before " : "tried again at ",
        absl::FormatTime(absl::RFC3339_sec, FromTimestamp(job.not_before()), absl::UTCTimeZone()));
  }
  const JobNeeds needs = NeedsOf(row);
  const std::string analysis = absl::StrCat(needs.analysis, "@", needs.version);
  bool anybody = false, offered = false, device = false, open = false, busy = true;
  int64_t memory_max = 0;
  if (auto found = running_.find(job.tenant());
      found != running_.end() && options_.running_jobs_per_tenant_max > 0 &&
      found->second >= options_.running_jobs_per_tenant_max) {
    return absl::StrCat(found->second, " jobs of this tenant run, and no more may");
  }
  for (const auto& [name, slot] : slots_) {
    if (!IsAlive(slot) || slot.last.draining() || IsDrained(name)) continue;
    anybody = true;
    if (!Offers(slot.last, needs)) continue;
    offered = true;
    if (!HasDevice(slot.last, needs)) continue;
    device = true;
    memory_max = std::max(memory_max, slot.last.memory_bytes());
    if (!TakesWork(slot)) continue;
    open = true;
    busy = busy && (!Fits(slot, needs) || !slot.token.empty() || slot.claiming);
  }
  if (!anybody) return "no worker is there";
  if (!offered) return absl::StrCat("no worker offers ", analysis);
  if (!device) return absl::StrCat("no worker offers ", analysis, " on ", job.device_kind());
  if (memory_max < row.memory_bytes) {
    return absl::StrCat("it needs ", row.memory_bytes,
                        " bytes of memory; the largest worker that offers ", analysis, " gives ",
                        memory_max);
  }
  if (!open) return "the workers that can run it are in quarantine after failures";
  return busy ? "all workers that can run it are busy" : "it is about to be taken";
}

v1::ListWorkersResponse LeaseDesk::ListWorkers(const std::string& tenant) {
  v1::ListWorkersResponse response;
  absl::MutexLock lock(&mu_);
  ForgetSilentSlots();
  for (const auto& [name, slot] : slots_) {
    v1::Worker& worker = *response.add_workers();
    worker.set_slot(name);
    worker.set_state(slot.last.state());
    *worker.mutable_engine() = slot.last.engine();
    worker.set_embedded(slot.embedded);
    worker.set_memory_bytes(slot.last.memory_bytes());
    worker.set_draining(slot.last.draining() || IsDrained(name));
    const absl::Duration quarantine = slot.quarantine_end - clock_->Monotonic();
    if (quarantine > absl::ZeroDuration()) {
      worker.set_quarantine(absl::StrCat(kCrashesInARow, " failures in a row; for ",
                                         absl::ToInt64Seconds(quarantine) + 1, " s more"));
    }
    const OpenLease* lease = LeaseOf(slot);
    if (lease != nullptr && lease->tenant == tenant) worker.set_job(lease->lease.job());
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
