#include "server/rpc/header_cache.h"

#include <fcntl.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {

ArtifactKind KindOf(v1::ArtifactKind kind) {
  return kind == v1::MODEL     ? ArtifactKind::kModel
         : kind == v1::DATASET ? ArtifactKind::kDataset
                               : ArtifactKind::kResult;
}

absl::StatusOr<ResolvedArtifact> Resolve(BlobStore& blobs, const v1::Artifact& artifact) {
  std::vector<SourceFile> files;
  for (const v1::ArtifactFile& file : artifact.files()) {
    files.push_back({.name = file.name(),
                     .sha256 = file.blob().sha256(),
                     .open = [&blobs, &file]() -> absl::StatusOr<UniqueFd> {
                       ASSIGN_OR_RETURN(std::string path, blobs.Path(file.blob().sha256()));
                       return OpenFile(path, O_RDONLY);
                     }});
  }
  return ResolveArtifact(KindOf(artifact.kind()), files,
                         {artifact.roles().begin(), artifact.roles().end()});
}

absl::StatusOr<std::shared_ptr<const ResolvedArtifact>> HeaderCache::Get(
    const v1::Artifact& artifact) {
  {
    absl::MutexLock lock(&mu_);
    auto found = by_digest_.find({artifact.kind(), artifact.digest()});
    if (found != by_digest_.end()) return found->second;
  }
  ASSIGN_OR_RETURN(ResolvedArtifact resolved, Resolve(*blobs_, artifact));
  if (resolved.digest != artifact.digest()) {
    return absl::DataLossError(absl::StrCat(artifact.name(), "@", artifact.version(),
                                            " has the digest ", resolved.digest, " now; it was ",
                                            artifact.digest()));
  }
  auto shared = std::make_shared<const ResolvedArtifact>(std::move(resolved));
  const int64_t tensors = static_cast<int64_t>(shared->header.tensors.size());
  absl::MutexLock lock(&mu_);
  if (tensors_ + tensors > tensors_max_) {
    by_digest_.clear();
    tensors_ = 0;
  }
  if (by_digest_.emplace(Key(artifact.kind(), artifact.digest()), shared).second)
    tensors_ += tensors;
  return shared;
}

}  // namespace radiograph
