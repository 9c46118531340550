// Blobs to and from the server, resumed after an interruption.
#ifndef RADIOGRAPH_SERVER_WORKER_BLOB_TRANSFER_H_
#define RADIOGRAPH_SERVER_WORKER_BLOB_TRANSFER_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "radiograph/v1/blobs.grpc.pb.h"

namespace radiograph {

inline constexpr int64_t kTransferChunkBytes = 512 << 10;

// Says who calls.
void Authorize(const std::string& token, grpc::ClientContext& context);

// A call that a stop request cancels.
class StoppableContext {
 public:
  StoppableContext(const std::string& token, std::stop_token stop)
      : cancel_(std::move(stop), Cancel{&context_}) {
    Authorize(token, context_);
  }
  grpc::ClientContext* get() { return &context_; }

 private:
  struct Cancel {
    grpc::ClientContext* context;
    void operator()() const { context->TryCancel(); }
  };
  grpc::ClientContext context_;
  std::stop_callback<Cancel> cancel_;
};

// Calls `attempt` until it answers anything but UNAVAILABLE, CANCELLED (by the server) or a refusal
// that carries RetryInfo (a server with a full disk gets the result once it has room), with growing
// pauses, or a stop is requested: CANCELLED. What this machine's kernel refused (ErrnoOf) is not tried again here.
absl::Status RetryUnavailable(std::stop_token stop, const std::function<absl::Status()>& attempt);

// Safe for use from many threads. A stop request ends any call with CANCELLED. UNAVAILABLE is tried
// again until then.
class BlobTransfer {
 public:
  BlobTransfer(std::shared_ptr<grpc::Channel> channel, std::string token);

  absl::StatusOr<std::set<std::string>> FindMissing(const std::vector<std::string>& sha256,
                                                    std::stop_token stop);
  absl::Status Upload(const std::string& path, const std::string& sha256, int64_t size,
                      std::stop_token stop);
  // Goes on where the file at `path` ends. DATA_LOSS when the bytes aren't those of the digest; the
  // file is removed then.
  absl::Status Download(const std::string& sha256, int64_t size, const std::string& path,
                        std::stop_token stop);

 private:
  absl::Status UploadOnce(const std::string& path, const v1::Blob& blob,
                          const std::string& upload_id, std::stop_token stop);
  absl::Status DownloadOnce(const std::string& sha256, int64_t size, const std::string& path,
                            std::stop_token stop);

  const std::unique_ptr<v1::Blobs::Stub> stub_;
  const std::string token_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_WORKER_BLOB_TRANSFER_H_
