// Who may come in, and how many at once: the first thing every handler asks.
//
// One table (Rules) decides for every RPC which scope it needs and what it counts as. Tokens travel
// as "authorization: Bearer <token>". Callers without a token are anonymous and have all scopes:
// the server listens on loopback, or was told to be insecure. The server's own agent has a random
// token, made at start, that never leaves the process.
#ifndef RADIOGRAPH_SERVER_RPC_DOOR_H_
#define RADIOGRAPH_SERVER_RPC_DOOR_H_

#include <grpcpp/server_context.h>

#include <atomic>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace radiograph {

// A worker's token has all but kSubmit.
enum class Scope { kRead, kUpload, kSubmit, kWorker };
// kCall and kBlobStream hold a thread of the synchronous API, kWait holds none.
enum class CallClass { kCall, kBlobStream, kWait };

struct Rule {
  absl::string_view method;  // "Jobs.Create"
  Scope scope;
  CallClass call_class;
};
absl::Span<const Rule> Rules();

struct Caller {
  bool embedded = false;  // the server's own agent
};

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
        : door_(door), call_class_(call_class), caller_(caller) {}
    Entry(Entry&& other) noexcept
        : door_(std::exchange(other.door_, nullptr)),
          call_class_(other.call_class_),
          caller_(other.caller_) {}
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

  Door(Options options, absl::string_view embedded_token);

  // UNAUTHENTICATED for a token that nobody has; PERMISSION_DENIED without the scope;
  // RESOURCE_EXHAUSTED with RetryInfo when too many are inside. `method` is one of Rules().
  absl::StatusOr<Entry> Enter(absl::string_view method, const grpc::ServerContextBase& context);
  // The same, for the value of the header "authorization" (empty: none).
  absl::StatusOr<Entry> Enter(absl::string_view method, absl::string_view authorization);

  const Options& options() const { return options_; }

 private:
  absl::StatusOr<Caller> Identify(const Rule& rule, absl::string_view authorization) const;
  absl::Status Admit(CallClass call_class);
  void Leave(CallClass call_class);

  const Options options_;
  const std::string embedded_token_digest_;  // digests are compared: no timing tells the token
  std::atomic<int64_t> calls_ = 0, blob_streams_ = 0, waits_ = 0;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_DOOR_H_
