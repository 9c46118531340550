// Where an agent gets the bytes of a job's inputs from: the server's own store on the same machine,
// or a cache that is filled over gRPC.
#ifndef RADIOGRAPH_SERVER_WORKER_BLOB_SOURCE_H_
#define RADIOGRAPH_SERVER_WORKER_BLOB_SOURCE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

// The path of a read-only file; it stays there as long as this lives. A hard link outlives it.
using PinnedFile = std::shared_ptr<const std::string>;

// Safe for use from many threads.
class BlobSource {
 public:
  virtual ~BlobSource() = default;
  // The blob as a local, verified file. NOT_FOUND when there is no such blob, CANCELLED after a
  // stop request, UNAVAILABLE when it may work later, RESOURCE_EXHAUSTED when it can't fit.
  virtual absl::StatusOr<PinnedFile> Fetch(const std::string& sha256, int64_t size,
                                           std::stop_token stop) = 0;
  // Room for blobs that aren't here yet.
  virtual int64_t free_bytes() const = 0;
};

// The store's own files. `path_of` answers with the path of a blob that is verified and stays as
// long as the job that names it runs; a stop request ends it with CANCELLED.
class LocalBlobSource : public BlobSource {
 public:
  using PathOf = std::function<absl::StatusOr<std::string>(const std::string& sha256,
                                                           const std::stop_token& stop)>;
  explicit LocalBlobSource(PathOf path_of) : path_of_(std::move(path_of)) {}
  absl::StatusOr<PinnedFile> Fetch(const std::string& sha256, int64_t size,
                                   std::stop_token stop) override;
  int64_t free_bytes() const override { return INT64_MAX; }

 private:
  const PathOf path_of_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_BLOB_SOURCE_H_
