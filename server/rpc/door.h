// Who may come in, and how many at once: the first thing every handler asks.
//
// The table of server/auth/authorization.h decides for every RPC who may call it and what it counts
// as.
#ifndef RADIOGRAPH_SERVER_RPC_DOOR_H_
#define RADIOGRAPH_SERVER_RPC_DOOR_H_

#include <grpcpp/server_context.h>

#include <atomic>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/auth/authorization.h"

namespace radiograph {

class Door {
 public:
  struct Options {
    int64_t calls_max = 128;  // blob streams among them
    int64_t blob_streams_max = 64;
    int64_t waits_max = 2048;
  };
  // What a call holds while it runs; gives its place back at the end.
  class Entry {
   public:
    Entry(Door* door, CallClass call_class, Caller caller)
        : door_(door), call_class_(call_class), caller_(std::move(caller)) {}
    Entry(Entry&& other) noexcept
        : door_(std::exchange(other.door_, nullptr)),
          call_class_(other.call_class_),
          caller_(std::move(other.caller_)) {}
    Entry& operator=(Entry&&) = delete;
    ~Entry() {
      if (door_ != nullptr) door_->Leave(call_class_);
    }
    const Caller& caller() const { return caller_; }

   private:
    Door* door_;
    CallClass call_class_;
    Caller caller_;
  };

  // `authorization` must outlive it.
  Door(Options options, const Authorization* authorization)
      : options_(options), authorization_(*authorization) {}

  // As Authorization::Check; RESOURCE_EXHAUSTED with RetryInfo when too many are inside. `method`
  // is one of Rules().
  absl::StatusOr<Entry> Enter(absl::string_view method, const grpc::ServerContextBase& context);
  // The same, for the value of the header "authorization" (empty: none).
  absl::StatusOr<Entry> Enter(absl::string_view method, absl::string_view authorization);

  const Options& options() const { return options_; }

 private:
  absl::Status Admit(CallClass call_class);
  void Leave(CallClass call_class);

  const Options options_;
  const Authorization& authorization_;
  std::atomic<int64_t> calls_ = 0, blob_streams_ = 0, waits_ = 0;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_DOOR_H_
