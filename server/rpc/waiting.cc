#include "server/rpc/waiting.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <stop_token>
#include <utility>

#include "absl/time/clock.h"
#include "core/base/moment.h"
#include "server/rpc/status.h"

namespace radiograph {
namespace {

constexpr int64_t kEventsPerRead = 64;
// What an answer needs on its way.
constexpr absl::Duration kAnswerMargin = absl::Milliseconds(200);

// What all waiting calls share: their place inside, and that a cancel stops the wait.
template <typename Reactor>
class Waiting : public Reactor {
 public:
  Waiting(Backend& backend, absl::string_view method, grpc::CallbackServerContext* context)
      : backend_(backend), entry_(backend.door->Enter(method, *context)) {}

  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { delete this; }

 protected:
  // False: the call has been refused.
  bool Entered() {
    if (!entry_.ok()) End(entry_.status());
    return entry_.ok();
  }
  void End(const absl::Status& status) {
    if (absl::IsResourceExhausted(status)) backend_.on_exhausted(ReasonOf(status));
    this->Finish(ToGrpc(status));
  }
  // Empty for who was refused.
  std::string tenant() const { return entry_.ok() ? entry_->caller().tenant : ""; }
  // Why a wait ended that saw nothing.
  absl::Status GivenUp() const {
    return stop_.stop_requested() ? absl::CancelledError("the client gave the call up")
                                  : absl::UnavailableError("the server stops; try again");
  }

  Backend& backend_;
  const absl::StatusOr<Door::Entry> entry_;
  std::stop_source stop_;
};

// Reads a page of events, writes them one by one, waits for more. One step follows the other, so
// there is never more than one at a time.
class WatchReactor final : public Waiting<grpc::ServerWriteReactor<v1::JobEvent>> {
 public:
  WatchReactor(Backend& backend, grpc::CallbackServerContext* context,
               const v1::WatchJobRequest& request)
      : Waiting(backend, "Jobs.Watch", context),
        key_{tenant(), request.id()},
        after_(request.after_sequence()) {
    if (Entered()) Read();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the client has gone"));
    Next();
  }

 private:
  void Read() {
    backend_.pool->Post([this] {
      absl::StatusOr<Jobs::EventPage> page = backend_.jobs->Events(key_, after_, kEventsPerRead);
      if (!page.ok()) return End(page.status());
      events_.assign(page->events.begin(), page->events.end());
      ended_ = page->ended;
      Next();
    });
  }

  void Next() {
    if (stop_.stop_requested()) return End(GivenUp());
    if (!events_.empty()) {
      current_ = std::move(events_.front());
      events_.pop_front();
      after_ = current_.sequence();
      return StartWrite(&current_);
    }
    if (ended_) return End(absl::OkStatus());
    backend_.jobs->WhenChanged(key_, after_, backend_.heartbeat, stop_.get_token(),
                               [this](absl::StatusOr<Jobs::Wake> wake) { Woken(wake); });
  }

  void Woken(const absl::StatusOr<Jobs::Wake>& wake) {
    if (!wake.ok()) return End(wake.status());
    switch (*wake) {
      case Jobs::Wake::kChanged:
        return Read();
      case Jobs::Wake::kGivenUp:
        return End(GivenUp());
      case Jobs::Wake::kTimeout:
        break;
    }
    current_.Clear();  // sequence 0: a heartbeat
    current_.mutable_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
    StartWrite(&current_);
  }

  const JobKey key_;
  int64_t after_;
  bool ended_ = false;
  std::deque<v1::JobEvent> events_;
  v1::JobEvent current_;  // being written
};

class WaitReactor final : public Waiting<grpc::ServerUnaryReactor> {
 public:
  WaitReactor(Backend& backend, grpc::CallbackServerContext* context,
              const v1::WaitJobRequest& request, v1::Job* response)
      : Waiting(backend, "Jobs.Wait", context), key_{tenant(), request.id()}, response_(response) {
    if (!Entered()) return;
    const absl::Duration left = TimeUntil(context->deadline());
    backend.jobs->WhenEnded(key_, WaitLimit(request, left, backend.wait_max), stop_.get_token(),
                            [this](absl::StatusOr<Jobs::Wake> wake) {
                              if (!wake.ok()) return End(wake.status());
                              if (*wake == Jobs::Wake::kGivenUp) return End(GivenUp());
                              Answer();
                            });
  }

 private:
  void Answer() {
    backend_.pool->Post([this] {
      absl::StatusOr<v1::Job> job = backend_.jobs->Get(key_);
      if (!job.ok()) return End(job.status());
      *response_ = *std::move(job);
      End(absl::OkStatus());
    });
  }

  const JobKey key_;
  v1::Job* const response_;
};

class SynchronizeReactor final : public Waiting<grpc::ServerUnaryReactor> {
 public:
  SynchronizeReactor(Backend& backend, grpc::CallbackServerContext* context,
                     const v1::SynchronizeRequest& request, v1::SynchronizeResponse* response)
      : Waiting(backend, "Workers.Synchronize", context) {
    if (!Entered()) return;
    backend.jobs->Synchronize(request, entry_->caller().embedded, stop_.get_token(),
                              [this, response](absl::StatusOr<v1::SynchronizeResponse> answer) {
                                if (!answer.ok()) return End(answer.status());
                                *response = *std::move(answer);
                                End(absl::OkStatus());
                              });
  }
};

}  // namespace

grpc::ServerWriteReactor<v1::JobEvent>* Watch(Backend& backend,
                                              grpc::CallbackServerContext* context,
                                              const v1::WatchJobRequest* request) {
  return new WatchReactor(backend, context, *request);
}

grpc::ServerUnaryReactor* Wait(Backend& backend, grpc::CallbackServerContext* context,
                               const v1::WaitJobRequest* request, v1::Job* response) {
  return new WaitReactor(backend, context, *request, response);
}

grpc::ServerUnaryReactor* Synchronize(Backend& backend, grpc::CallbackServerContext* context,
                                      const v1::SynchronizeRequest* request,
                                      v1::SynchronizeResponse* response) {
  return new SynchronizeReactor(backend, context, *request, response);
}

absl::Duration WaitLimit(const v1::WaitJobRequest& request, absl::Duration until_deadline,
                         absl::Duration wait_max) {
  absl::Duration limit = wait_max;
  if (request.has_timeout()) {
    limit =
        absl::Seconds(request.timeout().seconds()) + absl::Nanoseconds(request.timeout().nanos());
  }
  limit = std::min({limit, wait_max, until_deadline - kAnswerMargin});
  return std::max(limit, absl::ZeroDuration());
}

}  // namespace radiograph
