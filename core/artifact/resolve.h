// What a set of uploaded files is: checked, understood and digested. The server calls it on
// Artifacts.Create, the command line for `run --local`: both get the same digests, so the same
// results.
#ifndef RADIOGRAPH_CORE_ARTIFACT_RESOLVE_H_
#define RADIOGRAPH_CORE_ARTIFACT_RESOLVE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/artifact/tensor_files.h"
#include "core/catalog/headers.h"
#include "core/catalog/spec.h"

namespace radiograph {

inline constexpr int64_t kArtifactFilesMax = 1024;
struct ResolvedArtifact {
  ArtifactHeader header;
  std::map<std::string, std::string> file_of;  // tensor -> file
  std::string digest;                          // InputDigest
  // Sentences: what was taken, what was left out, and why.
  std::vector<std::string> notes;
};

// MODEL: one or more *.safetensors, optional config.json, model.safetensors.index.json and
// names.json. DATASET: one or more *.safetensors, optional names.json. RESULT: files of a bundle,
// only digested. Which tensors are read is decided by ReadTensorFiles. INVALID_ARGUMENT naming file
// and rule: a header that breaks a rule of safetensors/header.h, another file name, a name twice, a
// tensor in two files of which nothing says which is meant, a role whose tensor is missing (nearest
// names offered). Files are read by pread, never mapped. A config.json that can't be read is told
// in the notes.
absl::StatusOr<ResolvedArtifact> ResolveArtifact(ArtifactKind kind,
                                                 absl::Span<const SourceFile> files,
                                                 const std::map<std::string, std::string>& roles);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ARTIFACT_RESOLVE_H_
