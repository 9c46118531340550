#include "client/cpp/session.h"

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <functional>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "core/base/moment.h"

namespace radiograph {
namespace {

constexpr int kMessageBytesMax = 16 << 20;

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const ClientTls& tls) {
  if (tls.authority.empty()) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = tls.authority,
                               .pem_private_key = tls.key,
                               .pem_cert_chain = tls.certificate});
}

std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  // A server that comes back is found at once, not after gRPC's own pauses of up to two minutes.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // No proxy of the environment stands between a client and its own server.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(options.endpoint, CredentialsOf(options.tls), arguments);
}

}  // namespace

// In gRPC's poller rather than on a lock: a client of blocking calls has no other thread that
// polls, and a channel that connects anew in the pause would not hear whether it succeeded, nor
// that it was refused, before its time is over.
void Pause(absl::Duration duration, const std::stop_token& stop) {
  if (duration <= absl::ZeroDuration()) return;
  grpc::CompletionQueue queue;
  grpc::Alarm end(&queue, MomentIn(duration), nullptr);
  std::stop_callback wake(stop, [&end] { end.Cancel(); });
  void* tag = nullptr;
  bool rang = false;
  queue.Next(&tag, &rang);
}

bool Backoff::Wait(const grpc::Status& failure, std::stop_token stop) {
  if (++attempts_ >= attempts_max_ || stop.stop_requested()) return false;
  absl::Duration pause =
      std::min(policy_.pause_max, policy_.pause_first * (1 << std::min(attempts_ - 1, 20)));
  absl::BitGen random;
  pause *= absl::Uniform(random, 0.5, 1.0);
  if (std::optional<absl::Duration> asked = RetryDelay(failure)) {
    // Not all who were refused together come back together.
    pause = std::max(pause, std::min(policy_.pause_max, *asked) * absl::Uniform(random, 1.0, 1.5));
  }
  Pause(pause, stop);
  return !stop.stop_requested();
}

CallContext::CallContext(const ClientOptions& options, absl::Duration timeout, std::stop_token stop)
    : cancel_(std::move(stop), [this] { context_.TryCancel(); }) {
  if (!options.token.empty()) context_.AddMetadata("authorization", "Bearer " + options.token);
  context_.set_deadline(MomentIn(timeout));
}

Client::Session::Session(ClientOptions given)
    : options(std::move(given)),
      channel(MakeChannel(options)),
      server(v1::Server::NewStub(channel)),
      blobs(v1::Blobs::NewStub(channel)),
      artifacts(v1::Artifacts::NewStub(channel)),
      analyses(v1::Analyses::NewStub(channel)),
      jobs(v1::Jobs::NewStub(channel)),
      workers(v1::Workers::NewStub(channel)) {}

absl::Status Client::Session::ToStatus(const grpc::Status& status,
                                       const std::stop_token& stop) const {
  return stop.stop_requested() ? StoppedError() : FromRpc(status, options.endpoint);
}

absl::Status StoppedError() { return absl::CancelledError("stopped by request"); }

}  // namespace radiograph
