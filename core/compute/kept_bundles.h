// Context::Load, Save and Memo as the compute process does them: bundles are files in the job
// folder, which the agent takes to where they are kept, or brings.
#ifndef RADIOGRAPH_CORE_COMPUTE_KEPT_BUNDLES_H_
#define RADIOGRAPH_CORE_COMPUTE_KEPT_BUNDLES_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/analyses/analysis.h"
#include "core/process/frames.h"

namespace radiograph {

// Asks the agent and waits for its answer. CANCELLED once the job is to stop.
using AskAgent = std::function<absl::Status(AskFrame::What what, const KeptName& name)>;

// How often the state of a key is kept: when it is this old,
struct SavePace {
  double age_share = 0.1;  // of the job's time so far,
  absl::Duration age_min = absl::Seconds(1);
  absl::Duration age_max = absl::Minutes(1);  // but not so often that saving takes more than
  double cost_share = 0.05;                   // of the time
};
// How long after it was kept a state is kept again.
absl::Duration SaveInterval(const SavePace& pace, absl::Duration job_time, absl::Duration cost);

// Of one job. Used by one thread.
class KeptBundles {
 public:
  struct Options {
    std::string folder;  // the job's
    at::Device device = at::kCPU;
    Engine engine;  // what another has made is not found
    SavePace pace;
  };
  // An empty `ask`: nothing is kept.
  KeptBundles(Options options, AskAgent ask);

  // As Context promises.
  absl::StatusOr<std::optional<Bundle>> Load(absl::string_view key);
  absl::Status Save(absl::string_view key, const Bundle& bundle);
  absl::StatusOr<Bundle> Memo(absl::string_view digest,
                              absl::FunctionRef<absl::StatusOr<Bundle>()> compute);

 private:
  struct Saved {
    absl::Duration when;  // by the monotonic clock
    absl::Duration cost;
  };
  absl::StatusOr<std::optional<Bundle>> Fetch(const KeptName& name);
  absl::Status Keep(const KeptName& name, const Bundle& bundle);
  absl::Status Write(const KeptName& name, const Bundle& bundle, const std::string& path) const;
  absl::StatusOr<Bundle> Read(const KeptName& name, const std::string& path) const;
  std::string Identity(const KeptName& name) const;

  const Options options_;
  const AskAgent ask_;
  const absl::Duration begin_;
  std::map<std::string, Saved, std::less<>> saved_;  // by key
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_COMPUTE_KEPT_BUNDLES_H_
