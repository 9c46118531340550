// What the handlers of the Blobs streams do, without the streams.
#ifndef RADIOGRAPH_SERVER_RPC_BLOBS_H_
#define RADIOGRAPH_SERVER_RPC_BLOBS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "radiograph/v1/blobs.pb.h"
#include "server/store/blob_store.h"

namespace radiograph {

inline constexpr int64_t kChunkBytesMax = kBlobPieceBytes;
inline constexpr int kFindMissingMax = 10'000;  // digests a call

// `next` gives the messages one after the other, false at their end. What has come in whole is
// committed; what broke off is kept, to be resumed. Answers at once when the blob is there already.
absl::StatusOr<v1::WriteResponse> WriteBlob(BlobStore& blobs, const std::string& tenant,
                                            absl::FunctionRef<bool(v1::WriteRequest&)> next);

// `send` takes pieces of at most kChunkBytesMax; false when the client has gone (CANCELLED then).
absl::Status ReadBlob(BlobStore& blobs, const std::string& tenant, const v1::ReadRequest& request,
                      absl::FunctionRef<bool(const v1::ReadResponse&)> send);

absl::StatusOr<v1::FindMissingResponse> FindMissing(BlobStore& blobs, const std::string& tenant,
                                                    const v1::FindMissingRequest& request);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_BLOBS_H_
