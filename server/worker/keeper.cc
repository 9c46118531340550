#include "server/worker/keeper.h"

#include <unistd.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/base/steady_event.h"
#include "core/process/job_folder.h"
#include "server/rpc/status.h"

namespace radiograph {
namespace {

// A stop token that is requested with another one, or when the time is over.
class TimedStop {
 public:
  TimedStop(std::stop_token outer, absl::Duration time)
      : forward_(std::move(outer), Forward{&source_}),
        timer_([this, time](std::stop_token ended) { RequestAfter(time, std::move(ended)); }) {}

  std::stop_token token() const { return source_.get_token(); }

 private:
  struct Forward {
    std::stop_source* source;
    void operator()() const { source->request_stop(); }
  };
  void RequestAfter(absl::Duration time, std::stop_token ended) {
    SteadyEvent over;
    std::stop_callback wake(ended, [&over] { over.Set(); });
    if (!over.Wait(time)) source_.request_stop();
  }

  std::stop_source source_;
  std::stop_callback<Forward> forward_;
  std::jthread timer_;
};

// What `keep` answers, told as a time-out when that is why it was stopped.
template <typename Keep>
absl::Status Within(absl::Duration time, std::stop_token stop, Keep keep) {
  TimedStop timed(stop, time);
  absl::Status status = keep(timed.token());
  if (!absl::IsCancelled(status) || stop.stop_requested()) return status;
  return absl::DeadlineExceededError(
      absl::StrCat("the server did not do it within ", absl::FormatDuration(time)));
}

template <typename Request>
Request RequestFor(const v1::Lease& lease, const KeptName& name) {
  Request request;
  request.set_lease_token(lease.token());
  request.set_key(name.key);
  request.set_memo(name.memo);
  return request;
}

}  // namespace

LeaseKeeper::LeaseKeeper(Options options, std::shared_ptr<grpc::Channel> channel,
                         BlobTransfer* transfer, BlobSource* blobs)
    : options_(std::move(options)),
      stub_(v1::Workers::NewStub(channel)),
      transfer_(transfer),
      blobs_(blobs) {}

absl::Status LeaseKeeper::Save(const KeptName& name, const std::string& path,
                               std::stop_token stop) {
  return Within(options_.time_max, stop,
                [&](std::stop_token timed) { return Upload(name, path, timed); });
}

absl::Status LeaseKeeper::Load(const KeptName& name, const std::string& path,
                               std::stop_token stop) {
  return Within(options_.time_max, stop,
                [&](std::stop_token timed) { return Fetch(name, path, timed); });
}

absl::Status LeaseKeeper::Upload(const KeptName& name, const std::string& path,
                                 std::stop_token stop) {
  const absl::Duration begin = SystemClock().Monotonic();
  ASSIGN_OR_RETURN(const FileDigest digest, Sha256OfFile(path));
  ASSIGN_OR_RETURN(const auto missing, transfer_->FindMissing({digest.sha256}, stop));
  if (!missing.empty()) {
    RETURN_IF_ERROR(transfer_->Upload(path, digest.sha256, digest.size, stop));
  }
  auto request = RequestFor<v1::SaveRequest>(options_.lease, name);
  request.mutable_blob()->set_sha256(digest.sha256);
  request.mutable_blob()->set_size(digest.size);
  RETURN_IF_ERROR(RetryUnavailable(stop, [&] {
    StoppableContext context(options_.token, stop);
    v1::SaveResponse response;
    return FromGrpc(stub_->Save(context.get(), request, &response));
  }));
  Log(LogLevel::kInfo, "kept",
      {{"slot", options_.slot},
       {"job", options_.lease.job()},
       {"key", name.key},
       {"memo", name.memo},
       {"bytes", digest.size},
       {"seconds", absl::ToDoubleSeconds(SystemClock().Monotonic() - begin)}});
  return absl::OkStatus();
}

absl::Status LeaseKeeper::Fetch(const KeptName& name, const std::string& path,
                                std::stop_token stop) {
  const auto request = RequestFor<v1::LoadRequest>(options_.lease, name);
  v1::LoadResponse response;
  RETURN_IF_ERROR(RetryUnavailable(stop, [&] {
    StoppableContext context(options_.token, stop);
    return FromGrpc(stub_->Load(context.get(), request, &response));
  }));
  if (!response.has_blob()) return absl::NotFoundError("nothing is kept there");
  const v1::Blob& blob = response.blob();
  PinnedFile pin;
  RETURN_IF_ERROR(RetryUnavailable(stop, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(pin, blobs_->Fetch(blob.sha256(), blob.size(), stop));
    return absl::OkStatus();
  }));
  unlink(path.c_str());
  RETURN_IF_ERROR(LinkOrCopy(*pin, path));
  // Wrong bytes would not show: they would go on into the result.
  ASSIGN_OR_RETURN(const FileDigest digest, Sha256OfFile(path));
  if (digest.sha256 != blob.sha256()) {
    return absl::DataLossError(
        absl::StrCat("blob ", blob.sha256(), " is damaged: its bytes are ", digest.sha256));
  }
  Log(LogLevel::kInfo, "found_kept",
      {{"slot", options_.slot},
       {"job", options_.lease.job()},
       {"key", name.key},
       {"memo", name.memo},
       {"bytes", digest.size}});
  return absl::OkStatus();
}

}  // namespace radiograph
