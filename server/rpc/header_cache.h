// Headers of artifacts, kept so that Jobs.Create parses the same files once.
#ifndef RADIOGRAPH_SERVER_RPC_HEADER_CACHE_H_
#define RADIOGRAPH_SERVER_RPC_HEADER_CACHE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/artifact/resolve.h"
#include "radiograph/v1/artifacts.pb.h"
#include "server/store/blob_store.h"

namespace radiograph {

ArtifactKind KindOf(v1::ArtifactKind kind);  // a specified one

// Reads and checks the files of an artifact out of the store (core/artifact/resolve.h), with pread.
absl::StatusOr<ResolvedArtifact> Resolve(BlobStore& blobs, const v1::Artifact& artifact);

// Safe for use from many threads.
class HeaderCache {
 public:
  explicit HeaderCache(BlobStore* blobs, int64_t tensors_max = 500'000)
      : blobs_(blobs), tensors_max_(tensors_max) {}

  // Of an artifact that is in the catalogue: a MODEL as it is read today, whatever was understood
  // when it was made. DATA_LOSS when its record's digest is not that of its files.
  absl::StatusOr<std::shared_ptr<const ResolvedArtifact>> Get(const v1::Artifact& artifact);

 private:
  BlobStore* const blobs_;
  const int64_t tensors_max_;  // all is dropped when there are more
  absl::Mutex mu_;
  // The same files are read in another way as another kind.
  using Key = std::pair<v1::ArtifactKind, std::string>;
  std::map<Key, std::shared_ptr<const ResolvedArtifact>> by_digest_ ABSL_GUARDED_BY(mu_);
  int64_t tensors_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_HEADER_CACHE_H_
