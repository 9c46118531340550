#include "server/worker/devices.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/process/compute_process.h"

namespace radiograph {
namespace {

constexpr int64_t kProcBytesMax = 1 << 20;
constexpr absl::string_view kUuidKey = "GPU UUID:";

}  // namespace

std::vector<std::string> FindGpus(const std::string& proc_folder) {
  std::vector<std::string> uuids;
  std::error_code error;  // no such folder: no GPU
  for (const auto& entry : std::filesystem::directory_iterator(proc_folder, error)) {
    absl::StatusOr<std::string> text = ReadFile(entry.path() / "information", kProcBytesMax);
    if (!text.ok()) continue;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      if (!absl::ConsumePrefix(&line, kUuidKey)) continue;
      uuids.emplace_back(absl::StripAsciiWhitespace(line));
    }
  }
  std::sort(uuids.begin(), uuids.end());
  return uuids;
}

absl::StatusOr<std::vector<std::string>> ResolveDevices(absl::string_view words,
                                                        const std::vector<std::string>& gpus) {
  if (words == "none") return std::vector<std::string>();
  if (words == "auto") return gpus.empty() ? std::vector<std::string>{"cpu"} : gpus;
  std::vector<std::string> devices;
  for (absl::string_view word : absl::StrSplit(words, ',')) {
    const std::string device(word);
    if (device != "cpu" && std::find(gpus.begin(), gpus.end(), device) == gpus.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "device \"", device, "\" is not here; auto, none, cpu",
          gpus.empty() ? "" : absl::StrCat(", ", absl::StrJoin(gpus, ", ")), " are allowed"));
    }
    if (std::find(devices.begin(), devices.end(), device) != devices.end()) {
      return absl::InvalidArgumentError(absl::StrCat("device \"", device, "\" is named twice"));
    }
    devices.push_back(device);
  }
  return devices;
}

absl::StatusOr<std::vector<std::string>> FindDevices(absl::string_view words,
                                                     const std::string& compute_binary) {
  std::vector<std::string> gpus = FindGpus();
  if (words == "auto" && !gpus.empty()) {
    absl::Status status =
        ComputeProcess::Start({.binary = compute_binary, .device = gpus.front()}).status();
    if (!status.ok()) {
      Log(LogLevel::kWarning, "gpus_not_used", {{"error", status.ToString()}});
      gpus.clear();
    }
  }
  return ResolveDevices(words, gpus);
}

}  // namespace radiograph
