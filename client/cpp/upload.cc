// Uploads: hash, ask what is missing, send that, go on where a stream broke off.
#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <grpcpp/support/sync_stream.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/cpp/client.h"
#include "client/cpp/meter.h"
#include "client/cpp/session.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr size_t kFindMissingMax = 256;  // digests a call

// Blobs.Write, for messages that are serialised already.
const grpc::internal::RpcMethod kWriteMethod("/radiograph.v1.Blobs/Write",
                                             grpc::internal::RpcMethod::CLIENT_STREAMING);

absl::StatusOr<int64_t> SizeOf(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  return FileSize(fd.get(), path);
}

absl::StatusOr<v1::Blob> HashFile(const std::string& path, Meter& meter) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path, O_RDONLY));
  Sha256 hash;
  v1::Blob blob;
  std::string chunk(kChunkBytes, '\0');
  while (true) {
    ASSIGN_OR_RETURN(int64_t count, ReadSome(fd.get(), absl::MakeSpan(chunk), path));
    if (count == 0) break;
    hash.Update(absl::string_view(chunk).substr(0, count));
    blob.set_size(blob.size() + count);
    RETURN_IF_ERROR(meter.Add(count));
  }
  blob.set_sha256(hash.Finish());
  return blob;
}

// Makes the messages of Blobs.Write as they travel. Protobuf would copy the data into fresh memory
// each time, which costs more than sending it; here it is read into buffers that are used again
// once gRPC has let go of them.
class WriteMessages {
 public:
  // Room for `size` bytes of data.
  absl::Span<char> Data(int64_t size) {
    auto unused = std::find_if(buffers_.begin(), buffers_.end(),
                               [](const auto& buffer) { return buffer.use_count() == 1; });
    std::atomic_thread_fence(std::memory_order_acquire);  // after gRPC's last use
    if (unused == buffers_.end()) {
      unused = buffers_.insert(buffers_.end(), std::make_shared<std::string>(kChunkBytes, '\0'));
    }
    std::iter_swap(unused, buffers_.begin());
    size_ = size;
    return absl::MakeSpan(buffers_.front()->data(), size_);
  }

  // `head`, a request without data, with what was put into Data(), which must not change any more.
  grpc::ByteBuffer Finish(const v1::WriteRequest& head) {
    constexpr uint32_t kBytesField = 2;  // the wire type
    std::string start = head.SerializeAsString();
    {
      google::protobuf::io::StringOutputStream stream(&start);
      google::protobuf::io::CodedOutputStream out(&stream);
      out.WriteTag(v1::WriteRequest::kDataFieldNumber << 3 | kBytesField);
      out.WriteVarint64(static_cast<uint64_t>(size_));
    }
    using Buffer = std::shared_ptr<std::string>;
    const grpc::Slice slices[] = {grpc::Slice(start),
                                  grpc::Slice(
                                      buffers_.front()->data(), size_,
                                      [](void* buffer) { delete static_cast<Buffer*>(buffer); },
                                      new Buffer(buffers_.front()))};
    return grpc::ByteBuffer(slices, 2);
  }

 private:
  std::vector<std::shared_ptr<std::string>> buffers_;  // the first is the one being filled
  size_t size_ = 0;
};

// One file on its way to the server. Every call returns our own error, or how the RPC ended.
class BlobWriter {
 public:
  BlobWriter(grpc::ChannelInterface& channel, v1::Blobs::Stub& stub, const ClientOptions& options,
             std::stop_token stop, v1::Blob blob, std::string path)
      : channel_(channel),
        stub_(stub),
        options_(options),
        stop_(std::move(stop)),
        blob_(std::move(blob)),
        path_(std::move(path)) {}

  absl::StatusOr<grpc::Status> Run(Meter& meter) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(path_, O_RDONLY));
    const int64_t start = meter.bytes_done();
    Backoff backoff(options_.retry, options_.retry.stream_attempts_max);
    int64_t committed = 0;
    while (true) {
      v1::WriteResponse written;
      ASSIGN_OR_RETURN(grpc::Status status, Stream(fd.get(), committed, start, meter, &written));
      if (status.ok() && written.complete()) break;
      if (!status.ok() && !IsBrokenStream(status)) return status;
      v1::QueryWriteStatusResponse known;
      do {
        if (!backoff.Wait(status, stop_)) return Failure(status, committed);
        status = Query(&known);
        if (!status.ok() && !IsBrokenStream(status)) return status;
      } while (!status.ok());
      if (known.complete()) break;
      if (known.committed_size() > committed) backoff.Progress();
      committed = std::clamp<int64_t>(known.committed_size(), 0, blob_.size());
    }
    RETURN_IF_ERROR(meter.Set(start + blob_.size()));
    return grpc::Status::OK;
  }

 private:
  // One Write stream from `offset` on.
  absl::StatusOr<grpc::Status> Stream(int fd, int64_t offset, int64_t start, Meter& meter,
                                      v1::WriteResponse* response) {
    CallContext context(options_, options_.stream_timeout, stop_);
    std::unique_ptr<grpc::ClientWriter<grpc::ByteBuffer>> writer(
        grpc::internal::ClientWriterFactory<grpc::ByteBuffer>::Create(&channel_, kWriteMethod,
                                                                      context.get(), response));
    v1::WriteRequest request;
    request.set_upload_id(id_);
    *request.mutable_blob() = blob_;
    do {
      request.set_offset(offset);
      const absl::Span<char> data = messages_.Data(std::min(kChunkBytes, blob_.size() - offset));
      absl::Status ready = ReadAt(fd, offset, data, path_);
      if (ready.ok()) ready = meter.Set(start + offset);
      if (!ready.ok()) {
        context.get()->TryCancel();
        (void)writer->Finish();  // always CANCELLED
        return ready;
      }
      offset += static_cast<int64_t>(data.size());
      if (!writer->Write(messages_.Finish(request))) break;  // Finish says why
      request.clear_upload_id();
      request.clear_blob();
    } while (offset < blob_.size());
    writer->WritesDone();
    return writer->Finish();
  }

  // An upload that the server has forgotten starts anew.
  grpc::Status Query(v1::QueryWriteStatusResponse* response) {
    CallContext context(options_, options_.call_timeout, stop_);
    v1::QueryWriteStatusRequest request;
    request.set_upload_id(id_);
    *request.mutable_blob() = blob_;
    grpc::Status status = stub_.QueryWriteStatus(context.get(), request, response);
    return status.error_code() == grpc::StatusCode::NOT_FOUND ? grpc::Status::OK : status;
  }

  grpc::Status Failure(const grpc::Status& status, int64_t committed) const {
    if (!status.ok()) return status;
    return grpc::Status(
        grpc::StatusCode::INTERNAL,
        absl::StrCat("the server ends the upload of ", path_, " again and again at ", committed,
                     " of ", blob_.size(), " bytes"));
  }

  grpc::ChannelInterface& channel_;
  v1::Blobs::Stub& stub_;
  WriteMessages messages_;
  const ClientOptions& options_;
  const std::stop_token stop_;
  const v1::Blob blob_;
  const std::string path_;
  const std::string id_ = RandomHex(16);
};

}  // namespace

absl::StatusOr<std::set<std::string>> Client::FindMissing(absl::Span<const v1::Blob> blobs,
                                                          const std::stop_token& stop) {
  std::set<std::string> missing;
  for (size_t begin = 0; begin < blobs.size(); begin += kFindMissingMax) {
    v1::FindMissingRequest request;
    for (const v1::Blob& blob : blobs.subspan(begin, kFindMissingMax)) {
      request.add_sha256(blob.sha256());
    }
    ASSIGN_OR_RETURN(v1::FindMissingResponse response, session_->Call<v1::FindMissingResponse>(
                                                           [&](auto* context, auto* out) {
                                                             return session_->blobs->FindMissing(
                                                                 context, request, out);
                                                           },
                                                           stop));
    missing.insert(response.missing().begin(), response.missing().end());
  }
  return missing;
}

absl::StatusOr<std::vector<v1::Blob>> Client::Upload(absl::Span<const std::string> paths,
                                                     const TransferOptions& options) {
  int64_t total = 0;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(int64_t size, SizeOf(path));
    total += size;
  }
  Meter hashing(options, TransferProgress::kHashing, total);
  std::vector<v1::Blob> blobs;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(blobs.emplace_back(), HashFile(path, hashing));
  }
  ASSIGN_OR_RETURN(std::set<std::string> missing, FindMissing(blobs, options.stop));
  Meter sending(options, TransferProgress::kSending, total);
  for (size_t i = 0; i < blobs.size(); ++i) {
    if (missing.erase(blobs[i].sha256()) == 0) {
      RETURN_IF_ERROR(sending.Add(blobs[i].size()));
      continue;
    }
    BlobWriter writer(*session_->channel, *session_->blobs, session_->options, options.stop,
                      blobs[i], paths[i]);
    ASSIGN_OR_RETURN(grpc::Status sent, writer.Run(sending));
    if (!sent.ok()) return session_->ToStatus(sent, options.stop);
  }
  return blobs;
}

}  // namespace radiograph
