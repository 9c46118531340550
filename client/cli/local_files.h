// Which files a path on the command line stands for.
#ifndef RADIOGRAPH_CLIENT_CLI_LOCAL_FILES_H_
#define RADIOGRAPH_CLIENT_CLI_LOCAL_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "radiograph/v1/artifacts.pb.h"

namespace radiograph::cli {

// `./x`, `../x`, `/x` or a name that ends in .safetensors; all else names an artifact.
bool IsPath(absl::string_view ref);

struct LocalFile {
  std::string name;  // inside the artifact
  std::string path;
};

struct LocalArtifact {
  std::string name;              // from the path, for those who give none
  std::vector<LocalFile> files;  // by name
  // Sentences: what was chosen among what lies there, and what was left out.
  std::vector<std::string> notes;
};

// The name of the artifact that a path suggests: that of a Hugging Face model, a telling file or
// folder name, in the letters that names may have.
std::string SuggestName(const std::string& path);

// Whether a path is a file of tensors that is no result of ours.
bool IsTensorFile(const std::string& path);
// Whether a folder holds one.
bool HoldsTensors(const std::string& folder);

// A file is model.safetensors (data.safetensors of a DATASET) whatever it is called, so that a copy
// of it is the same work; STEM.names.json beside it becomes names.json. Of a folder: the files of
// tensors that ReadTensorFiles reads, with the index if it is used, config.json and names.json
// where they are (a DATASET has only the last). The root of a model in the cache of Hugging Face
// stands for the revision of refs/main; its folders models--ORG--NAME give the name ORG/NAME.
// Symbolic links are followed. The arrays of a result of ours are no model. NOT_FOUND or
// INVALID_ARGUMENT that names the path.
absl::StatusOr<LocalArtifact> FindFiles(const std::string& path, v1::ArtifactKind kind);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_LOCAL_FILES_H_
