#include "tests/bench/watchers.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/client_callback.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

namespace radiograph {
namespace {

constexpr int kConnections = 4;  // one takes at most 1024 streams
constexpr std::chrono::seconds kConnectTimeout{10};

bool IsLast(v1::JobState state) {
  return state == v1::SUCCEEDED || state == v1::FAILED || state == v1::CANCELLED;
}

}  // namespace

std::shared_ptr<grpc::Channel> NewChannel(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto channel =
      grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
  // gRPC 1.51 reads errno a few calls after connect(2), so now and then a connection that is on its
  // way counts as failed. It tries again by itself; bare stubs, which do not, wait for that here.
  channel->WaitForConnected(std::chrono::system_clock::now() + kConnectTimeout);
  return channel;
}

class Watchers::Stream final : public grpc::ClientReadReactor<v1::JobEvent> {
 public:
  Stream(Watchers* owner, v1::Jobs::Stub& stub, const std::string& job) : owner_(*owner) {
    request_.set_id(job);
    stub.async()->Watch(&context_, &request_, this);
    StartRead(&event_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (event_.sequence() > 0) {
      last_ = event_.state();
      owner_.Got(event_.sequence());
    }
    StartRead(&event_);
  }
  void OnDone(const grpc::Status& status) override {
    if (status.ok() && !IsLast(last_)) return owner_.Ended(absl::InternalError("no last event"));
    owner_.Ended(
        absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message()));
  }

 private:
  Watchers& owner_;
  grpc::ClientContext context_;
  v1::WatchJobRequest request_;
  v1::JobEvent event_;
  v1::JobState last_ = v1::JOB_STATE_UNSPECIFIED;
};

Watchers::Watchers(const std::string& endpoint, const std::string& job, int count) {
  for (int i = 0; i < kConnections; ++i) {
    stubs_.push_back(v1::Jobs::NewStub(NewChannel(endpoint)));
  }
  {
    absl::MutexLock lock(&mu_);
    open_ = count;
    got_ = {count};
  }
  for (int i = 0; i < count; ++i) {
    streams_.push_back(std::make_unique<Stream>(this, *stubs_[i % kConnections], job));
  }
}

Watchers::~Watchers() {
  Cancel();
  absl::MutexLock lock(&mu_);
  auto ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return open_ == 0; };
  mu_.Await(absl::Condition(&ended));
}

void Watchers::Cancel() {
  for (const auto& stream : streams_) stream->Cancel();
}

void Watchers::Got(int64_t sequence) {
  absl::MutexLock lock(&mu_);
  ++events_;
  if (static_cast<int64_t>(got_.size()) <= sequence) got_.resize(sequence + 1);
  --got_[sequence - 1];
  ++got_[sequence];
}

void Watchers::Ended(const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  --open_;
  worst_.Update(status);
}

absl::Status Watchers::AwaitSequence(int64_t sequence, absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  int64_t behind = 0;
  auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    behind = 0;
    for (int64_t i = 0; i < sequence && i < static_cast<int64_t>(got_.size()); ++i) {
      behind += got_[i];
    }
    return behind == 0;
  };
  if (mu_.AwaitWithTimeout(absl::Condition(&there), timeout)) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat(behind, " streams have no event ", sequence, " yet"));
}

absl::Status Watchers::AwaitEnd(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  auto ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return open_ == 0; };
  if (mu_.AwaitWithTimeout(absl::Condition(&ended), timeout)) return worst_;
  return absl::DeadlineExceededError(absl::StrCat(open_, " streams have not ended"));
}

int64_t Watchers::events() const {
  absl::MutexLock lock(&mu_);
  return events_;
}

}  // namespace radiograph
