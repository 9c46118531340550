// Which of a model's or data set's files hold its tensors: decided once, for the command line that
// chooses what to upload, the server that checks it and the compute process that reads it.
#ifndef RADIOGRAPH_CORE_ARTIFACT_TENSOR_FILES_H_
#define RADIOGRAPH_CORE_ARTIFACT_TENSOR_FILES_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/file.h"
#include "core/catalog/spec.h"
#include "core/safetensors/header.h"

namespace radiograph {

inline constexpr char kIndexFile[] = "model.safetensors.index.json";
inline constexpr char kConfigFile[] = "config.json";
inline constexpr char kNamesFile[] = "names.json";
inline constexpr int64_t kIndexBytesMax = 64 << 20;

struct SourceFile {
  std::string name;    // relative: "model.safetensors", never used as a path
  std::string sha256;  // of its bytes; unused here
  std::function<absl::StatusOr<UniqueFd>()> open;
};

struct TensorFiles {
  std::vector<safetensors::TensorInfo> tensors;  // of all files that are read, by name
  std::map<std::string, std::string> file_of;    // tensor -> file
  std::vector<std::string> missing;              // tensors that the index names and no file holds
  std::vector<std::string> passed_over;          // files that are not read, the index too
  std::vector<std::string> notes;                // sentences: what was left out, and why
};

// Reads the headers of `files` by pread, and decides between files as common loaders do: the
// model.safetensors of a MODEL is all of it unless an index names it; else an index of shards says
// which files are read; else all are. Where two files hold a tensor the index decides; without its
// word it is INVALID_ARGUMENT naming tensor and files. A tensor's own name goes before another's
// second name. What an index leaves out, has too much or has wrong is told in `notes`; so are files
// that are passed over, and an index that can't be read. INVALID_ARGUMENT for a header that breaks
// a rule of safetensors/header.h.
absl::StatusOr<TensorFiles> ReadTensorFiles(ArtifactKind kind, absl::Span<const SourceFile> files);

// A small file as text. INVALID_ARGUMENT when it has more than `bytes_max`.
absl::StatusOr<std::string> ReadSmall(const SourceFile& file, int64_t bytes_max);

// "a, b, c and 5 more"
std::string SomeOf(absl::Span<const std::string> names, size_t shown = 3);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ARTIFACT_TENSOR_FILES_H_
