#include "core/compute/kept_bundles.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/process/job_folder.h"
#include "core/tensor/tensors.h"

namespace radiograph {
namespace {

// Among the texts: who made what. A bundle without the right value is another's.
constexpr char kIdentityText[] = "radiograph.kept";

// The job is to end, or is another's by now.
bool EndsTheJob(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsAborted(status);
}

void LogPassing(absl::string_view event, const KeptName& name, const absl::Status& status) {
  Log(LogLevel::kWarning, event,
      {{"key", name.key}, {"memo", name.memo}, {"error", status.ToString()}});
}

absl::Duration Now() { return SystemClock().Monotonic(); }

int64_t BytesOf(const Bundle& bundle) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : bundle.tensors) bytes += static_cast<int64_t>(tensor.nbytes());
  for (const auto& [name, text] : bundle.texts) bytes += static_cast<int64_t>(text.size());
  return bytes;
}

}  // namespace

absl::Duration SaveInterval(const SavePace& pace, absl::Duration job_time, absl::Duration cost) {
  const absl::Duration age = std::clamp(pace.age_share * job_time, pace.age_min, pace.age_max);
  return std::max(age, cost / pace.cost_share);
}

KeptBundles::KeptBundles(Options options, AskAgent ask)
    : options_(std::move(options)), ask_(std::move(ask)), begin_(Now()) {}

absl::StatusOr<std::optional<Bundle>> KeptBundles::Load(absl::string_view key) {
  const KeptName name{.key = std::string(key), .memo = ""};
  RETURN_IF_ERROR(CheckKeptName(name.key, name.memo));
  return Fetch(name);
}

absl::Status KeptBundles::Save(absl::string_view key, const Bundle& bundle) {
  const KeptName name{.key = std::string(key), .memo = ""};
  RETURN_IF_ERROR(CheckKeptName(name.key, name.memo));
  const absl::Duration now = Now();
  Saved& saved = saved_.try_emplace(name.key, Saved{begin_, absl::ZeroDuration()}).first->second;
  if (now - saved.when < SaveInterval(options_.pace, now - begin_, saved.cost)) {
    return absl::OkStatus();
  }
  absl::Status status = Keep(name, bundle);
  saved.when = Now();
  saved.cost = saved.when - now;
  return status;
}

absl::StatusOr<Bundle> KeptBundles::Memo(absl::string_view digest,
                                         absl::FunctionRef<absl::StatusOr<Bundle>()> compute) {
  const KeptName name{.key = "", .memo = std::string(digest)};
  RETURN_IF_ERROR(CheckKeptName(name.key, name.memo));
  ASSIGN_OR_RETURN(std::optional<Bundle> kept, Fetch(name));
  if (kept) return *std::move(kept);
  ASSIGN_OR_RETURN(const Bundle computed, compute());
  Bundle bundle = AsKept(computed, options_.device);
  RETURN_IF_ERROR(Keep(name, bundle));
  return bundle;
}

absl::StatusOr<std::optional<Bundle>> KeptBundles::Fetch(const KeptName& name) {
  if (ask_ == nullptr) return std::nullopt;
  const std::string path = LoadPath(options_.folder);
  const absl::Status asked = ask_(AskFrame::What::kLoad, name);
  if (EndsTheJob(asked)) return asked;
  if (absl::IsNotFound(asked)) return std::nullopt;
  absl::StatusOr<Bundle> bundle = asked.ok() ? Read(name, path) : absl::StatusOr<Bundle>(asked);
  unlink(path.c_str());
  if (bundle.ok()) return *std::move(bundle);
  LogPassing("not_loaded", name, bundle.status());
  return std::nullopt;
}

absl::Status KeptBundles::Keep(const KeptName& name, const Bundle& bundle) {
  if (ask_ == nullptr) return absl::OkStatus();
  const std::string path = SavePath(options_.folder);
  absl::Status status = Write(name, bundle, path);
  if (absl::IsInvalidArgument(status)) return status;  // as it would be every time
  if (status.ok()) status = ask_(AskFrame::What::kSave, name);
  unlink(path.c_str());
  if (status.ok() || EndsTheJob(status)) return status;
  LogPassing("not_saved", name, status);
  return absl::OkStatus();
}

std::string KeptBundles::Identity(const KeptName& name) const {
  const Json json = {{"engine", options_.engine.ToJson()}, {"key", name.key}, {"memo", name.memo}};
  return Sha256Hex(json.dump());
}

absl::Status KeptBundles::Write(const KeptName& name, const Bundle& bundle,
                                const std::string& path) const {
  if (const int64_t bytes = BytesOf(bundle); bytes > kKeptBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the bundle has ", bytes, " bytes; at most ", kKeptBytesMax, " are kept"));
  }
  std::map<std::string, std::string> texts = bundle.texts;
  if (!texts.emplace(kIdentityText, Identity(name)).second) {
    return absl::InvalidArgumentError(
        absl::StrCat("a text of the bundle is named '", kIdentityText, "', which is ours"));
  }
  return WriteTensors(path, bundle.tensors, texts);
}

absl::StatusOr<Bundle> KeptBundles::Read(const KeptName& name, const std::string& path) const {
  ASSIGN_OR_RETURN(const auto file, safetensors::MappedTensors::Open(path, "what was kept"));
  Bundle bundle;
  bundle.texts = file->header().metadata;
  const auto identity = bundle.texts.find(kIdentityText);
  if (identity == bundle.texts.end() || identity->second != Identity(name)) {
    return absl::DataLossError("what was kept is of another name or engine");
  }
  bundle.texts.erase(identity);
  for (const safetensors::TensorInfo& info : file->header().tensors) {
    ASSIGN_OR_RETURN(const at::Tensor mapped, TensorOf(file, info));
    bundle.tensors[info.name] =
        at::empty(mapped.sizes(), mapped.options().device(options_.device)).copy_(mapped);
  }
  return bundle;
}

}  // namespace radiograph
