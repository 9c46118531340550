// Blobs of a server on another machine, kept in a folder of this one: verified when they arrive,
// resumed after an interruption, the least recently used dropped when room is needed.
//   <folder>/blobs/<sha256>     complete; its time of change is that of its last use
//   <folder>/partial/<sha256>   the beginning of a blob; dropped by a start a day later
#ifndef RADIOGRAPH_SERVER_WORKER_REMOTE_BLOB_SOURCE_H_
#define RADIOGRAPH_SERVER_WORKER_REMOTE_BLOB_SOURCE_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/worker/blob_source.h"
#include "server/worker/blob_transfer.h"

namespace radiograph {

class RemoteBlobSource : public BlobSource {
 public:
  struct Options {
    std::string folder;
    int64_t bytes_max = 0;  // of all blobs; one in use is never dropped
    std::string token;
  };
  // Finds what an earlier process has left in the folder, which no other may use. It is verified
  // before its first use.
  static absl::StatusOr<std::unique_ptr<RemoteBlobSource>> Open(
      Options options, std::shared_ptr<grpc::Channel> channel);

  // RESOURCE_EXHAUSTED naming the limit when what is in use leaves no room. A blob that two ask for
  // is fetched once.
  absl::StatusOr<PinnedFile> Fetch(const std::string& sha256, int64_t size,
                                   std::stop_token stop) override;
  int64_t free_bytes() const override;

 private:
  struct Entry {
    int64_t size = 0;
    int pins = 0;
    bool here = false;                          // verified; else it is on its way
    bool left = false;                          // by an earlier process; not looked at yet
    std::list<std::string>::iterator position;  // in recent_
  };
  RemoteBlobSource(Options options, std::shared_ptr<grpc::Channel> channel);

  absl::Status FindLeft();
  absl::Status DropOldPartials();
  absl::Status MakeRoom(int64_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckLeft(const std::string& sha256, int64_t size, std::stop_token stop);
  absl::Status Bring(const std::string& sha256, int64_t size, std::stop_token stop);
  PinnedFile Pin(const std::string& sha256) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Unpin(const std::string& sha256);
  std::string PathOf(const std::string& sha256) const;
  std::string PartialPathOf(const std::string& sha256) const;

  const Options options_;
  BlobTransfer transfer_;
  mutable absl::Mutex mu_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mu_);
  std::list<std::string> recent_ ABSL_GUARDED_BY(mu_);  // the least recently used first
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;              // of all entries
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_REMOTE_BLOB_SOURCE_H_
