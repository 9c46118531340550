// The folder in which a compute process finds a job and leaves its result.
//   job.json        the request (JobRequest)
//   blobs/<sha256>  the inputs' bytes: hard links or read-only copies, or symbolic links
//   out/            result.json, arrays.safetensors, figures/, run.json after success
//   save.safetensors, load.safetensors
//                   what is on its way to a Keeper, and from it
#ifndef RADIOGRAPH_CORE_PROCESS_JOB_FOLDER_H_
#define RADIOGRAPH_CORE_PROCESS_JOB_FOLDER_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/catalog/cache_key.h"
#include "core/catalog/params.h"

namespace radiograph {

// One artifact given to an input. Everything that compute knows of it.
struct JobInput {
  std::string kind;                          // "MODEL", "DATASET", "RESULT"
  std::string digest;                        // InputDigest
  std::vector<NamedBlob> files;              // relative name -> blob
  Architecture architecture;                 // of a MODEL
  std::map<std::string, std::string> roles;  // of a DATASET
};

struct JobRequest {
  std::string analysis;
  int64_t version = 1;
  ParamValues params;  // normalised, all of them
  int64_t seed = 0;
  std::map<std::string, std::vector<JobInput>> inputs;
  // Of the Plan, for who reports that memory was not enough.
  int64_t planned_memory_bytes = 0;
  std::string memory_help = {};

  std::string ToJsonText() const;
  static absl::StatusOr<JobRequest> Parse(absl::string_view text);
};

// A link where that can be, else a read-only copy: on another file system, with too many links, or
// of a file of someone else (the kernel's protected_hardlinks). The link keeps the bytes when the
// name is taken away.
absl::Status LinkOrCopy(const std::string& from, const std::string& to);
// A symbolic link to where the file truly lies: nothing is copied, and the file must stay as it is
// while the job runs.
absl::Status LinkToFile(const std::string& from, const std::string& to);

using PlaceFile = absl::Status (*)(const std::string& from, const std::string& to);

// Makes `folder` with job.json, blobs/ and out/. `blob_paths` maps SHA-256 to a local file, which
// `place` puts there.
absl::Status MakeJobFolder(const std::string& folder, const JobRequest& request,
                           const std::map<std::string, std::string>& blob_paths,
                           PlaceFile place = &LinkOrCopy);

std::string SavePath(const std::string& folder);
std::string LoadPath(const std::string& folder);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_PROCESS_JOB_FOLDER_H_
