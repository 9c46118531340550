#include "server/worker/blob_transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/cause.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "core/base/steady_event.h"
#include "server/rpc/status.h"

namespace radiograph {
namespace {

constexpr size_t kFindMissingMax = 256;  // digests a call
constexpr absl::Duration kRetryPauseMin = absl::Milliseconds(50);
constexpr absl::Duration kRetryPauseMax = absl::Seconds(2);

absl::Status StoppedStatus() { return absl::CancelledError("asked to stop"); }

// True once a stop is requested.
bool PauseUnlessStopped(std::stop_token stop, absl::Duration pause) {
  SteadyEvent stopped;
  std::stop_callback wake(stop, [&stopped] { stopped.Set(); });
  stopped.Wait(pause);
  return stop.stop_requested();
}

}  // namespace

void Authorize(const std::string& token, grpc::ClientContext& context) {
  if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
}

absl::Status RetryUnavailable(std::stop_token stop, const std::function<absl::Status()>& attempt) {
  absl::Duration pause = kRetryPauseMin;
  while (true) {
    if (stop.stop_requested()) return StoppedStatus();
    absl::Status status = attempt();
    if (stop.stop_requested() && !status.ok()) return StoppedStatus();
    const std::optional<absl::Duration> asked = RetryOf(status);  // the server has no room now
    const bool broken_off = absl::IsUnavailable(status) || absl::IsCancelled(status);
    const bool disk_of_ours = ErrnoOf(status) != 0;
    if ((!broken_off && !asked) || disk_of_ours) return status;
    if (PauseUnlessStopped(stop, std::max(pause, asked.value_or(pause)))) return StoppedStatus();
    pause = std::min(2 * pause, kRetryPauseMax);
  }
}

BlobTransfer::BlobTransfer(std::shared_ptr<grpc::Channel> channel, std::string token)
    : stub_(v1::Blobs::NewStub(channel)), token_(std::move(token)) {}

absl::StatusOr<std::set<std::string>> BlobTransfer::FindMissing(
    const std::vector<std::string>& sha256, std::stop_token stop) {
  std::set<std::string> missing;
  for (size_t begin = 0; begin < sha256.size(); begin += kFindMissingMax) {
    v1::FindMissingRequest request;
    const size_t end = std::min(begin + kFindMissingMax, sha256.size());
    for (size_t i = begin; i < end; ++i) request.add_sha256(sha256[i]);
    v1::FindMissingResponse response;
    RETURN_IF_ERROR(RetryUnavailable(stop, [&] {
      StoppableContext context(token_, stop);
      return FromGrpc(stub_->FindMissing(context.get(), request, &response));
    }));
    missing.insert(response.missing().begin(), response.missing().end());
  }
  return missing;
}

absl::Status BlobTransfer::Upload(const std::string& path, const std::string& sha256, int64_t size,
                                  std::stop_token stop) {
  v1::Blob blob;
  blob.set_sha256(sha256);
  blob.set_size(size);
  const std::string upload_id = RandomHex(16);
  return RetryUnavailable(stop, [&] { return UploadOnce(path, blob, upload_id, stop); });
}

absl::Status BlobTransfer::UploadOnce(const std::string& path, const v1::Blob& blob,
                                      const std::string& upload_id, std::stop_token stop) {
  v1::QueryWriteStatusRequest query;
  query.set_upload_id(upload_id);
  *query.mutable_blob() = blob;
  v1::QueryWriteStatusResponse known;
  StoppableContext query_context(token_, stop);
  absl::Status status = FromGrpc(stub_->QueryWriteStatus(query_context.get(), query, &known));
  if (!status.ok() && !absl::IsNotFound(status)) return status;
  if (known.complete()) return absl::OkStatus();

  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_RDONLY));
  StoppableContext context(token_, stop);
  v1::WriteResponse response;
  auto writer = stub_->Write(context.get(), &response);
  v1::WriteRequest request;
  request.set_upload_id(upload_id);
  *request.mutable_blob() = blob;
  int64_t offset = known.committed_size();
  do {
    request.set_offset(offset);
    request.mutable_data()->resize(std::min(kTransferChunkBytes, blob.size() - offset));
    absl::Status read = ReadAt(file.get(), offset, absl::MakeSpan(*request.mutable_data()), path);
    if (!read.ok()) return read;  // the destructors cancel the call
    offset += request.data().size();
    if (!writer->Write(request)) break;
    request.clear_upload_id();
    request.clear_blob();
  } while (offset < blob.size());
  writer->WritesDone();
  RETURN_IF_ERROR(FromGrpc(writer->Finish()));
  if (response.complete()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the server has ", response.committed_size(), " of ", blob.size(), " bytes"));
}

absl::Status BlobTransfer::Download(const std::string& sha256, int64_t size,
                                    const std::string& path, std::stop_token stop) {
  RETURN_IF_ERROR(RetryUnavailable(stop, [&] { return DownloadOnce(sha256, size, path, stop); }));
  ASSIGN_OR_RETURN(FileDigest got, Sha256OfFile(path));
  if (got.sha256 == sha256 && got.size == size) return absl::OkStatus();
  unlink(path.c_str());
  return absl::DataLossError(absl::StrCat("blob ", sha256, " of ", size, " bytes arrived as ",
                                          got.sha256, " of ", got.size, " bytes"));
}

absl::Status BlobTransfer::DownloadOnce(const std::string& sha256, int64_t size,
                                        const std::string& path, std::stop_token stop) {
  ASSIGN_OR_RETURN(UniqueFd file, OpenFile(path, O_WRONLY | O_CREAT | O_APPEND));
  ASSIGN_OR_RETURN(int64_t have, FileSize(file.get(), path));
  if (have < size) {
    v1::ReadRequest request;
    request.set_sha256(sha256);
    request.set_offset(have);
    StoppableContext context(token_, stop);
    auto reader = stub_->Read(context.get(), request);
    v1::ReadResponse response;
    absl::Status written;
    while (written.ok() && reader->Read(&response)) {
      written = WriteAll(file.get(), response.data(), path);
    }
    if (!written.ok()) context.get()->TryCancel();
    absl::Status status = FromGrpc(reader->Finish());
    RETURN_IF_ERROR(written);
    RETURN_IF_ERROR(status);
  }
  if (fsync(file.get()) != 0) return ErrnoStatus(errno, "can't sync", path);
  return absl::OkStatus();
}

}  // namespace radiograph
