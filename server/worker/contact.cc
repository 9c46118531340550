#include "server/worker/contact.h"

#include <algorithm>

#include "core/base/address.h"
#include "core/base/log.h"

namespace radiograph {

void Contact::Missed(const std::string& slot, const absl::Status& reason) {
  const absl::Duration now = clock_->Monotonic();
  absl::MutexLock lock(&mu_);
  if (missing_.empty()) {
    since_ = now;
    told_ = false;
  }
  missing_.insert(slot);
  if (now < tell_from_) return;
  tell_from_ = now + kAwayTellInterval;
  told_ = true;
  Log(LogLevel::kWarning, "server_away",
      {{"server", server_},
       {"away_seconds", absl::ToDoubleSeconds(now - since_)},
       {"slot", slot},
       {"error", reason.ToString()},
       {"meaning", WhyNoGrpc(reason.message())}});
}

void Contact::Reached(const std::string& slot) {
  absl::MutexLock lock(&mu_);
  if (missing_.erase(slot) == 0 || !missing_.empty() || !told_) return;
  const absl::Duration now = clock_->Monotonic();
  tell_from_ = std::min(tell_from_, now + kAbsenceTellInterval);
  Log(LogLevel::kInfo, "server_back",
      {{"server", server_}, {"away_seconds", absl::ToDoubleSeconds(now - since_)}});
}

}  // namespace radiograph
