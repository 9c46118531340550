#include "server/worker/fake_server.h"

#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"

namespace radiograph {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);

}  // namespace

struct FakeServer::State {
  explicit State(absl::Duration term) : lease_term(term) {}
  const absl::Duration lease_term;
  absl::Mutex mu;
  bool vanished ABSL_GUARDED_BY(mu) = false;
  std::deque<v1::Lease> queue ABSL_GUARDED_BY(mu);
  std::map<std::string, v1::Lease> leases ABSL_GUARDED_BY(mu);  // by slot
  std::set<std::string> cancelled ABSL_GUARDED_BY(mu);          // jobs
  std::map<std::string, v1::AttemptReport> reports ABSL_GUARDED_BY(mu);
  std::vector<v1::SynchronizeRequest> requests ABSL_GUARDED_BY(mu);
  std::set<std::string> tokens ABSL_GUARDED_BY(mu);
  std::map<std::string, std::string> blobs ABSL_GUARDED_BY(mu), uploads ABSL_GUARDED_BY(mu);
  int64_t reads ABSL_GUARDED_BY(mu) = 0, bytes_read ABSL_GUARDED_BY(mu) = 0;
  int64_t break_after ABSL_GUARDED_BY(mu) = -1;
  bool corrupt ABSL_GUARDED_BY(mu) = false, refuse_result ABSL_GUARDED_BY(mu) = false;
  std::map<std::string, v1::Blob> kept ABSL_GUARDED_BY(mu);  // by key or memo
  grpc::Status keeping ABSL_GUARDED_BY(mu);
  bool hang_keeping ABSL_GUARDED_BY(mu) = false, hanging ABSL_GUARDED_BY(mu) = false;

  void Saw(const grpc::ServerContext* context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    auto token = context->client_metadata().find("authorization");
    if (token == context->client_metadata().end()) return;
    tokens.emplace(token->second.data(), token->second.size());
  }
  // Counts the bytes of a stream down to where it is to break off.
  bool Breaks(int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (break_after < 0) return false;
    break_after = std::max<int64_t>(0, break_after - bytes);
    if (break_after > 0) return false;
    break_after = -1;
    return true;
  }
};

class FakeServer::WorkersService : public v1::Workers::Service {
 public:
  explicit WorkersService(State* state) : state_(*state) {}

  grpc::Status Synchronize(grpc::ServerContext* context, const v1::SynchronizeRequest* request,
                           v1::SynchronizeResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    state_.Saw(context);
    if (state_.vanished) return {grpc::StatusCode::UNAVAILABLE, "vanished"};
    state_.requests.push_back(*request);
    if (request->state() == v1::DONE) return Done(*request, response);
    auto news = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_.mu) {
      return state_.vanished ||
             (request->state() == v1::IDLE ? Lease(*request) : Differs(*request));
    };
    state_.mu.AwaitWithTimeout(absl::Condition(&news), request->answer_now()
                                                           ? absl::ZeroDuration()
                                                           : state_.lease_term / 3);
    if (state_.vanished) return {grpc::StatusCode::UNAVAILABLE, "vanished"};
    if (context->IsCancelled()) return grpc::Status::CANCELLED;
    return Answer(*request, response);
  }

  grpc::Status Save(grpc::ServerContext* context, const v1::SaveRequest* request,
                    v1::SaveResponse*) override {
    absl::MutexLock lock(&state_.mu);
    grpc::Status status = Keeping(context, request->lease_token());
    if (!status.ok()) return status;
    if (!state_.blobs.contains(request->blob().sha256())) {
      return {grpc::StatusCode::FAILED_PRECONDITION, "the blob is not here"};
    }
    state_.kept[request->key() + request->memo()] = request->blob();
    return grpc::Status::OK;
  }

  grpc::Status Load(grpc::ServerContext* context, const v1::LoadRequest* request,
                    v1::LoadResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    grpc::Status status = Keeping(context, request->lease_token());
    if (!status.ok()) return status;
    auto kept = state_.kept.find(request->key() + request->memo());
    if (kept != state_.kept.end()) *response->mutable_blob() = kept->second;
    return grpc::Status::OK;
  }

 private:
  // Whether the slot has a lease now: its own, or one out of the queue.
  bool Lease(const v1::SynchronizeRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_.mu) {
    if (state_.leases.contains(request.slot())) return true;
    if (state_.queue.empty() || request.draining()) return false;
    state_.leases[request.slot()] = state_.queue.front();
    state_.queue.pop_front();
    return true;
  }
  bool Differs(const v1::SynchronizeRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_.mu) {
    auto lease = state_.leases.find(request.slot());
    return lease == state_.leases.end() || lease->second.token() != request.lease_token() ||
           state_.cancelled.contains(lease->second.job());
  }
  grpc::Status Answer(const v1::SynchronizeRequest& request, v1::SynchronizeResponse* response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_.mu) {
    auto lease = state_.leases.find(request.slot());
    response->set_desired(v1::IDLE);
    if (lease == state_.leases.end()) return grpc::Status::OK;
    response->set_desired(v1::BUSY);
    *response->mutable_lease() = lease->second;
    response->set_cancel(state_.cancelled.contains(lease->second.job()));
    return grpc::Status::OK;
  }
  grpc::Status Done(const v1::SynchronizeRequest& request, v1::SynchronizeResponse* response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_.mu) {
    auto lease = state_.leases.find(request.slot());
    if (lease != state_.leases.end() && lease->second.token() == request.lease_token()) {
      if (state_.refuse_result && request.report().result_size() > 0) {
        state_.refuse_result = false;
        return {grpc::StatusCode::FAILED_PRECONDITION, "a blob of the result is not here"};
      }
      state_.reports[lease->second.job()] = request.report();
      state_.leases.erase(lease);
    }
    return Answer(request, response);
  }

  // Whether the call may go on, and with which answer.
  grpc::Status Keeping(grpc::ServerContext* context, const std::string& token)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_.mu) {
    state_.Saw(context);
    if (state_.vanished) return {grpc::StatusCode::UNAVAILABLE, "vanished"};
    while (state_.hang_keeping && !context->IsCancelled() && !state_.vanished) {
      state_.hanging = true;
      state_.mu.AwaitWithTimeout(absl::Condition(&state_.vanished), absl::Milliseconds(5));
    }
    const bool leased = std::any_of(state_.leases.begin(), state_.leases.end(),
                                    [&](auto& lease) { return lease.second.token() == token; });
    if (!leased) return {grpc::StatusCode::ABORTED, "the lease is another's"};
    return state_.keeping;
  }

  State& state_;
};

class FakeServer::BlobsService : public v1::Blobs::Service {
 public:
  explicit BlobsService(State* state) : state_(*state) {}

  grpc::Status FindMissing(grpc::ServerContext* context, const v1::FindMissingRequest* request,
                           v1::FindMissingResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    state_.Saw(context);
    if (request->sha256_size() > 256) return {grpc::StatusCode::INVALID_ARGUMENT, "too many"};
    for (const std::string& sha256 : request->sha256()) {
      if (!state_.blobs.contains(sha256)) response->add_missing(sha256);
    }
    return grpc::Status::OK;
  }

  grpc::Status QueryWriteStatus(grpc::ServerContext*, const v1::QueryWriteStatusRequest* request,
                                v1::QueryWriteStatusResponse* response) override {
    absl::MutexLock lock(&state_.mu);
    response->set_complete(state_.blobs.contains(request->blob().sha256()));
    response->set_committed_size(state_.uploads[request->upload_id()].size());
    return grpc::Status::OK;
  }

  grpc::Status Write(grpc::ServerContext*, grpc::ServerReader<v1::WriteRequest>* reader,
                     v1::WriteResponse* response) override {
    v1::WriteRequest request;
    std::string upload_id;
    v1::Blob blob;
    while (reader->Read(&request)) {
      absl::MutexLock lock(&state_.mu);
      if (request.has_blob()) {
        upload_id = request.upload_id();
        blob = request.blob();
      }
      std::string& bytes = state_.uploads[upload_id];
      if (request.offset() != static_cast<int64_t>(bytes.size())) {
        return {grpc::StatusCode::INVALID_ARGUMENT, absl::StrCat("offset ", request.offset())};
      }
      bytes += request.data();
      if (state_.Breaks(request.data().size())) return {grpc::StatusCode::UNAVAILABLE, "broken"};
    }
    absl::MutexLock lock(&state_.mu);
    const std::string& bytes = state_.uploads[upload_id];
    response->set_committed_size(bytes.size());
    if (static_cast<int64_t>(bytes.size()) < blob.size()) return grpc::Status::OK;
    if (Sha256Hex(bytes) != blob.sha256()) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "other bytes than the digest's"};
    }
    state_.blobs[blob.sha256()] = bytes;
    response->set_complete(true);
    return grpc::Status::OK;
  }

  grpc::Status Read(grpc::ServerContext*, const v1::ReadRequest* request,
                    grpc::ServerWriter<v1::ReadResponse>* writer) override {
    absl::MutexLock lock(&state_.mu);
    ++state_.reads;
    auto blob = state_.blobs.find(request->sha256());
    if (blob == state_.blobs.end()) return {grpc::StatusCode::NOT_FOUND, "no such blob"};
    constexpr int64_t kPiece = 1000;
    const int64_t size = blob->second.size();
    for (int64_t at = request->offset(); at < size; at += kPiece) {
      v1::ReadResponse response;
      response.set_data(blob->second.substr(at, kPiece));
      if (state_.corrupt) response.mutable_data()->front() ^= 1;
      state_.bytes_read += response.data().size();
      writer->Write(response);
      if (state_.Breaks(response.data().size())) return {grpc::StatusCode::UNAVAILABLE, "broken"};
    }
    return grpc::Status::OK;
  }

 private:
  State& state_;
};

FakeServer::FakeServer(absl::Duration lease_term)
    : state_(std::make_unique<State>(lease_term)),
      workers_(std::make_unique<WorkersService>(state_.get())),
      blobs_(std::make_unique<BlobsService>(state_.get())) {
  grpc::ServerBuilder builder;
  builder.RegisterService(workers_.get());
  builder.RegisterService(blobs_.get());
  server_ = builder.BuildAndStart();
}

FakeServer::~FakeServer() {
  Vanish();
  server_->Shutdown(std::chrono::system_clock::now());
}

std::shared_ptr<grpc::Channel> FakeServer::Channel() {
  return server_->InProcessChannel(grpc::ChannelArguments());
}

void FakeServer::Vanish() {
  absl::MutexLock lock(&state_->mu);
  state_->vanished = true;
}

void FakeServer::Enqueue(v1::Lease lease) {
  absl::MutexLock lock(&state_->mu);
  lease.set_token(absl::StrCat("token of ", lease.job()));
  lease.mutable_term()->set_seconds(absl::ToInt64Seconds(state_->lease_term));
  lease.mutable_term()->set_nanos(absl::ToInt64Nanoseconds(state_->lease_term % absl::Seconds(1)));
  state_->queue.push_back(std::move(lease));
}

void FakeServer::Cancel(const std::string& job) {
  absl::MutexLock lock(&state_->mu);
  state_->cancelled.insert(job);
}

void FakeServer::TakeAway(const std::string& job) {
  absl::MutexLock lock(&state_->mu);
  for (auto lease = state_->leases.begin(); lease != state_->leases.end();) {
    lease = lease->second.job() == job ? state_->leases.erase(lease) : std::next(lease);
  }
}

std::optional<v1::AttemptReport> FakeServer::AwaitReport(const std::string& job) {
  absl::MutexLock lock(&state_->mu);
  auto reported = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mu) {
    return state_->reports.contains(job);
  };
  if (!state_->mu.AwaitWithTimeout(absl::Condition(&reported), kPatience)) return std::nullopt;
  return state_->reports[job];
}

bool FakeServer::AwaitRequest(const std::function<bool(const v1::SynchronizeRequest&)>& suits) {
  absl::MutexLock lock(&state_->mu);
  auto seen = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mu) {
    return std::any_of(state_->requests.begin(), state_->requests.end(), suits);
  };
  return state_->mu.AwaitWithTimeout(absl::Condition(&seen), kPatience);
}

std::vector<v1::SynchronizeRequest> FakeServer::requests() {
  absl::MutexLock lock(&state_->mu);
  return state_->requests;
}

std::string FakeServer::AddBlob(const std::string& bytes) {
  absl::MutexLock lock(&state_->mu);
  state_->blobs[Sha256Hex(bytes)] = bytes;
  return Sha256Hex(bytes);
}

std::string FakeServer::blob(const std::string& sha256) {
  absl::MutexLock lock(&state_->mu);
  return state_->blobs[sha256];
}

int64_t FakeServer::reads() {
  absl::MutexLock lock(&state_->mu);
  return state_->reads;
}

int64_t FakeServer::bytes_read() {
  absl::MutexLock lock(&state_->mu);
  return state_->bytes_read;
}

void FakeServer::BreakNextStreamAfter(int64_t bytes) {
  absl::MutexLock lock(&state_->mu);
  state_->break_after = bytes;
}

void FakeServer::Corrupt() {
  absl::MutexLock lock(&state_->mu);
  state_->corrupt = true;
}

v1::Blob FakeServer::kept(const std::string& name) {
  absl::MutexLock lock(&state_->mu);
  return state_->kept[name];
}

void FakeServer::AnswerKeeping(grpc::Status status) {
  absl::MutexLock lock(&state_->mu);
  state_->keeping = std::move(status);
}

void FakeServer::HangKeeping() {
  absl::MutexLock lock(&state_->mu);
  state_->hang_keeping = true;
}

bool FakeServer::AwaitHanging() {
  absl::MutexLock lock(&state_->mu);
  return state_->mu.AwaitWithTimeout(absl::Condition(&state_->hanging), kPatience);
}

void FakeServer::RefuseNextResult() {
  absl::MutexLock lock(&state_->mu);
  state_->refuse_result = true;
}

std::set<std::string> FakeServer::tokens() {
  absl::MutexLock lock(&state_->mu);
  return state_->tokens;
}

}  // namespace radiograph
