// What all calls of a Client share: the channel, deadlines, retries and their pauses.
#ifndef RADIOGRAPH_CLIENT_CPP_SESSION_H_
#define RADIOGRAPH_CLIENT_CPP_SESSION_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "client/cpp/client.h"
#include "client/cpp/rpc_status.h"
#include "radiograph/v1/analyses.grpc.pb.h"
#include "radiograph/v1/artifacts.grpc.pb.h"
#include "radiograph/v1/blobs.grpc.pb.h"
#include "radiograph/v1/jobs.grpc.pb.h"
#include "radiograph/v1/server.grpc.pb.h"
#include "radiograph/v1/workers.grpc.pb.h"

namespace radiograph {

// Until the time is over or a stop is requested.
void Pause(absl::Duration duration, const std::stop_token& stop);

// Counts attempts and waits between them.
class Backoff {
 public:
  Backoff(const RetryPolicy& policy, int attempts_max)
      : policy_(policy), attempts_max_(attempts_max) {}

  // After a failed attempt: waits twice as long as before, or as the server asked, with some chance
  // in it. False when no attempt is left or stop was requested.
  bool Wait(const grpc::Status& failure, std::stop_token stop);
  void Progress() { attempts_ = 0; }

 private:
  const RetryPolicy& policy_;
  const int attempts_max_;
  int attempts_ = 0;
};

// A context with the caller's token and a deadline, that a stop request cancels.
class CallContext {
 public:
  CallContext(const ClientOptions& options, absl::Duration timeout, std::stop_token stop);
  grpc::ClientContext* get() { return &context_; }

 private:
  grpc::ClientContext context_;
  std::stop_callback<std::function<void()>> cancel_;
};

class Client::Session {
 public:
  explicit Session(ClientOptions options);

  // One unary call, retried.
  template <typename Response>
  absl::StatusOr<Response> Call(
      absl::FunctionRef<grpc::Status(grpc::ClientContext*, Response*)> call,
      std::stop_token stop = {});

  // All pages of a list; `call` fills the request's page token into its own request.
  template <typename Entry, typename Request, typename Response>
  absl::StatusOr<std::vector<Entry>> Pages(
      Request request, int64_t entries_max,
      absl::FunctionRef<grpc::Status(grpc::ClientContext*, const Request&, Response*)> call,
      google::protobuf::RepeatedPtrField<Entry>* (Response::*entries)());

  absl::Status ToStatus(const grpc::Status& status, const std::stop_token& stop) const;

  const ClientOptions options;
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::Server::Stub> server;
  const std::unique_ptr<v1::Blobs::Stub> blobs;
  const std::unique_ptr<v1::Artifacts::Stub> artifacts;
  const std::unique_ptr<v1::Analyses::Stub> analyses;
  const std::unique_ptr<v1::Jobs::Stub> jobs;
  const std::unique_ptr<v1::Workers::Stub> workers;
};

absl::Status StoppedError();

template <typename Response>
absl::StatusOr<Response> Client::Session::Call(
    absl::FunctionRef<grpc::Status(grpc::ClientContext*, Response*)> call, std::stop_token stop) {
  Backoff backoff(options.retry, options.retry.attempts_max);
  while (true) {
    CallContext context(options, options.call_timeout, stop);
    Response response;
    grpc::Status status = call(context.get(), &response);
    if (status.ok()) return response;
    if (!IsRetryable(status) || !backoff.Wait(status, stop)) return ToStatus(status, stop);
  }
}

template <typename Entry, typename Request, typename Response>
absl::StatusOr<std::vector<Entry>> Client::Session::Pages(
    Request request, int64_t entries_max,
    absl::FunctionRef<grpc::Status(grpc::ClientContext*, const Request&, Response*)> call,
    google::protobuf::RepeatedPtrField<Entry>* (Response::*entries)()) {
  std::vector<Entry> all;
  do {
    absl::StatusOr<Response> page = Call<Response>(
        [&](grpc::ClientContext* context, Response* out) { return call(context, request, out); });
    if (!page.ok()) return page.status();
    for (Entry& entry : *((*page).*entries)()) all.push_back(std::move(entry));
    request.set_page_token(page->next_page_token());
    if (static_cast<int64_t>(all.size()) > kListEntriesMax) {
      return absl::ResourceExhaustedError("the list has more entries than a client takes");
    }
  } while (!request.page_token().empty() &&
           (entries_max == 0 || static_cast<int64_t>(all.size()) < entries_max));
  if (entries_max > 0 && static_cast<int64_t>(all.size()) > entries_max) all.resize(entries_max);
  return all;
}

}  // namespace radiograph

#endif  // RADIOGRAPH_CLIENT_CPP_SESSION_H_
