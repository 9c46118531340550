#include "server/worker/agent.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "server/worker/slot.h"

namespace radiograph {
namespace {

// Beyond the grace of a cancel: to tell the server.
constexpr absl::Duration kReportTimeMax = absl::Seconds(5);

}  // namespace

Agent::Agent(AgentOptions options, std::shared_ptr<grpc::Channel> channel,
             std::unique_ptr<BlobSource> blobs)
    : options_(std::move(options)),
      channel_(std::move(channel)),
      blobs_(std::move(blobs)),
      contact_(options_.server, &clock_) {}

Agent::~Agent() {
  for (auto& slot : slots_) slot->link().Close();  // all at once, before each is waited for
}

absl::Status Agent::Start() {
  const std::string folder = options_.folder + "/slots";
  RETURN_IF_ERROR(RemoveTree(folder));
  const std::string incarnation = RandomHex(16);
  for (const std::string& device : options_.devices) {
    Slot::Options slot;
    slot.link.slot = absl::StrCat(options_.name, "/", device);
    slot.link.incarnation = incarnation;
    slot.link.token = options_.token;
    slot.link.free_cache_bytes = [this] { return blobs_->free_bytes(); };
    slot.link.contact = &contact_;
    slot.compute.binary = options_.compute_binary;
    slot.compute.device = device;
    slot.compute.threads = options_.threads;
    slot.compute.cancel_grace = options_.cancel_grace;
    slot.folder = absl::StrCat(folder, "/", slots_.size());
    RETURN_IF_ERROR(MakeFolders(slot.folder));
    slots_.push_back(std::make_unique<Slot>(std::move(slot), channel_, blobs_.get()));
  }
  return absl::OkStatus();
}

void Agent::Drain(absl::Duration grace) {
  for (auto& slot : slots_) slot->link().Drain();
  const absl::Duration deadline = clock_.Monotonic() + grace;
  for (auto& slot : slots_) slot->link().AwaitRest(deadline - clock_.Monotonic());
  for (auto& slot : slots_) slot->link().StopJob(StopReason::kDraining);
  const absl::Duration end = clock_.Monotonic() + options_.cancel_grace + kReportTimeMax;
  for (auto& slot : slots_) {
    if (slot->link().AwaitRest(end - clock_.Monotonic())) continue;
    Log(LogLevel::kWarning, "drain_broken_off", {{"worker", options_.name}});
    slot->link().Close();
  }
}

}  // namespace radiograph
