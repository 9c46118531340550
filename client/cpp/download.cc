// Downloads: into a temporary file, hashed on the way, renamed once digest and size are right.
#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cpp/client.h"
#include "client/cpp/meter.h"
#include "client/cpp/session.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

namespace fs = std::filesystem;

// A name that stays below the folder it is joined to.
absl::Status CheckRelativeName(absl::string_view name) {
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == ".." || part.find('\0') != part.npos) {
      return absl::DataLossError(
          absl::StrCat("the server names a file \"", name, "\", which is no relative path"));
    }
  }
  return absl::OkStatus();
}

// A blob on its way into an open file.
class BlobReader {
 public:
  BlobReader(v1::Blobs::Stub& stub, const ClientOptions& options, std::stop_token stop,
             const v1::Blob& blob)
      : stub_(stub), options_(options), stop_(std::move(stop)), blob_(blob) {}

  // Our own error, or how the RPC ended.
  absl::StatusOr<grpc::Status> Run(int fd, const std::string& path, Meter& meter) {
    Backoff backoff(options_.retry, options_.retry.stream_attempts_max);
    while (true) {
      const int64_t before = received_;
      ASSIGN_OR_RETURN(grpc::Status status, Stream(fd, path, meter));
      if (status.ok()) break;
      if (!IsBrokenStream(status)) return status;
      if (received_ > before) backoff.Progress();
      if (!backoff.Wait(status, stop_)) return status;
    }
    std::string digest = hash_.Finish();
    if (received_ == blob_.size() && digest == blob_.sha256()) return grpc::Status::OK;
    return absl::DataLossError(absl::StrCat("the server sent ", received_, " bytes of digest ",
                                            digest, " for the blob ", blob_.sha256(), " of ",
                                            blob_.size(), " bytes"));
  }

 private:
  absl::StatusOr<grpc::Status> Stream(int fd, const std::string& path, Meter& meter) {
    CallContext context(options_, options_.stream_timeout, stop_);
    v1::ReadRequest request;
    request.set_sha256(blob_.sha256());
    request.set_offset(received_);
    auto reader = stub_.Read(context.get(), request);
    v1::ReadResponse chunk;
    absl::Status stored;
    while (stored.ok() && reader->Read(&chunk)) {
      received_ += static_cast<int64_t>(chunk.data().size());
      if (received_ > blob_.size()) {
        stored = absl::DataLossError(absl::StrCat("the server sends more than the ", blob_.size(),
                                                  " bytes of the blob ", blob_.sha256()));
        break;
      }
      hash_.Update(chunk.data());
      stored = WriteAll(fd, chunk.data(), path);
      if (stored.ok()) stored = meter.Add(static_cast<int64_t>(chunk.data().size()));
    }
    if (!stored.ok()) context.get()->TryCancel();
    grpc::Status status = reader->Finish();
    if (!stored.ok()) return stored;
    return status;
  }

  v1::Blobs::Stub& stub_;
  const ClientOptions& options_;
  const std::stop_token stop_;
  const v1::Blob& blob_;
  Sha256 hash_;
  int64_t received_ = 0;
};

}  // namespace

absl::Status Client::DownloadTo(const v1::Blob& blob, const std::string& path, Meter& meter,
                                const std::stop_token& stop) {
  const std::string temporary = absl::StrCat(path, ".part-", blob.sha256().substr(0, 8));
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(temporary, O_WRONLY | O_CREAT | O_TRUNC));
  absl::Cleanup remove = [&] { std::remove(temporary.c_str()); };
  BlobReader reader(*session_->blobs, session_->options, stop, blob);
  ASSIGN_OR_RETURN(grpc::Status received, reader.Run(fd.get(), temporary, meter));
  if (!received.ok()) return session_->ToStatus(received, stop);
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    return ErrnoStatus(errno, "rename to", path);
  std::move(remove).Cancel();
  return absl::OkStatus();
}

absl::Status Client::Download(const v1::Blob& blob, const std::string& path,
                              const TransferOptions& options) {
  Meter meter(options, TransferProgress::kReceiving, blob.size());
  return DownloadTo(blob, path, meter, options.stop);
}

absl::Status Client::DownloadResult(const v1::Job& job, const std::string& folder,
                                    const TransferOptions& options) {
  if (job.state() != v1::SUCCEEDED) {
    return absl::FailedPreconditionError(absl::StrCat("job ", job.id(), " is ",
                                                      v1::JobState_Name(job.state()),
                                                      "; only SUCCEEDED leaves a result"));
  }
  return DownloadFiles(job.result(), folder, options);
}

absl::Status Client::DownloadFiles(
    const google::protobuf::RepeatedPtrField<v1::ArtifactFile>& files, const std::string& folder,
    const TransferOptions& options) {
  int64_t total = 0;
  for (const v1::ArtifactFile& file : files) {
    RETURN_IF_ERROR(CheckRelativeName(file.name()));
    total += file.blob().size();
  }
  Meter meter(options, TransferProgress::kReceiving, total);
  RETURN_IF_ERROR(MakeFolders(folder));
  for (const v1::ArtifactFile& file : files) {
    const fs::path path = fs::path(folder) / file.name();
    RETURN_IF_ERROR(MakeFolders(path.parent_path().string()));
    RETURN_IF_ERROR(DownloadTo(file.blob(), path.string(), meter, options.stop));
  }
  return absl::OkStatus();
}

}  // namespace radiograph
