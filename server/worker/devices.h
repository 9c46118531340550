// The devices of this machine, known without LibTorch: from the driver's /proc folder.
#ifndef RADIOGRAPH_SERVER_WORKER_DEVICES_H_
#define RADIOGRAPH_SERVER_WORKER_DEVICES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

// The UUIDs of the GPUs that `proc_folder` tells of, sorted; empty when there are none.
std::vector<std::string> FindGpus(const std::string& proc_folder = "/proc/driver/nvidia/gpus");

// What `--devices` says: "auto" is `gpus`, or the CPU when there are none; "none" is no device;
// otherwise a list of "cpu" and UUIDs, divided by commas. INVALID_ARGUMENT naming a device that
// isn't there or is named twice.
absl::StatusOr<std::vector<std::string>> ResolveDevices(absl::string_view words,
                                                        const std::vector<std::string>& gpus);

// ResolveDevices with this machine's GPUs. "auto" is the CPU too when the GPUs are there but the
// compute process can't use them (a LibTorch without CUDA): it is asked, which takes seconds.
absl::StatusOr<std::vector<std::string>> FindDevices(absl::string_view words,
                                                     const std::string& compute_binary);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_DEVICES_H_
