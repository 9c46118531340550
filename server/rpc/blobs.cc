#include "server/rpc/blobs.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {

absl::StatusOr<v1::WriteResponse> WriteBlob(BlobStore& blobs, const std::string& tenant,
                                            absl::FunctionRef<bool(v1::WriteRequest&)> next) {
  v1::WriteRequest message;
  if (!next(message)) return absl::InvalidArgumentError("the stream has no first message");
  const v1::Blob blob = message.blob();
  ASSIGN_OR_RETURN(Upload upload, blobs.StartOrResume(tenant, message.upload_id(), blob));
  if (!upload.complete()) {
    do {
      if (static_cast<int64_t>(message.data().size()) > kChunkBytesMax) {
        return absl::InvalidArgumentError(absl::StrCat("a message carries ", message.data().size(),
                                                       " bytes; at most ", kChunkBytesMax,
                                                       " are allowed"));
      }
      // A first message may open the upload without data.
      if (message.data().empty()) continue;
      RETURN_IF_ERROR(upload.Append(message.offset(), message.data()));
    } while (next(message));
    if (upload.committed_size() == blob.size()) RETURN_IF_ERROR(upload.Commit());
  }
  v1::WriteResponse response;
  response.set_complete(upload.complete());
  response.set_committed_size(upload.complete() ? blob.size() : upload.committed_size());
  return response;
}

absl::Status ReadBlob(BlobStore& blobs, const std::string& tenant, const v1::ReadRequest& request,
                      absl::FunctionRef<bool(const v1::ReadResponse&)> send) {
  v1::ReadResponse response;
  return blobs.Read(
      tenant, request.sha256(), request.offset(), request.limit(), [&](absl::string_view piece) {
        response.mutable_data()->assign(piece.data(), piece.size());
        return send(response) ? absl::OkStatus() : absl::CancelledError("the client has gone");
      });
}

absl::StatusOr<v1::FindMissingResponse> FindMissing(BlobStore& blobs, const std::string& tenant,
                                                    const v1::FindMissingRequest& request) {
  if (request.sha256_size() > kFindMissingMax) {
    return absl::InvalidArgumentError(absl::StrCat(request.sha256_size(), " digests; at most ",
                                                   kFindMissingMax, " are allowed in a call"));
  }
  const std::vector<std::string> asked(request.sha256().begin(), request.sha256().end());
  ASSIGN_OR_RETURN(const std::vector<std::string> missing, blobs.FindMissing(tenant, asked));
  v1::FindMissingResponse response;
  for (const std::string& sha256 : missing) response.add_missing(sha256);
  return response;
}

}  // namespace radiograph
