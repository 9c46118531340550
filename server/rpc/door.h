// Who may come in, and how many at once: the first thing every handler asks.
//
// The table of server/auth/authorization.h decides for every RPC who may call it and what it counts
// as. Of streams and waits one tenant can't have all. Workers are counted apart, so that no crowd
// of clients keeps a lease from being renewed.
#ifndef RADIOGRAPH_SERVER_RPC_DOOR_H_
#define RADIOGRAPH_SERVER_RPC_DOOR_H_

#include <grpcpp/server_context.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/auth/authorization.h"
#include "server/store/quota.h"

namespace radiograph {

class Door {
 public:
  struct Options {
    int64_t calls_max = 128;  // blob streams among them; workers have as many again
    int64_t blob_streams_max = 64;
    int64_t blob_streams_per_tenant_max = ShareOf(64);
    int64_t waits_max = 4096;
    int64_t waits_per_tenant_max = ShareOf(4096);
  };
  // Calls that are inside.
  struct Inside {
    int64_t calls = 0;  // blob streams among them
    int64_t blob_streams = 0;
    int64_t waits = 0;
  };
  // What a call holds while it runs; gives its place back at the end.
  class Entry {
   public:
    Entry(Door* door, CallClass call_class, std::string crowd, Caller caller)
        : door_(door),
          call_class_(call_class),
          crowd_(std::move(crowd)),
          caller_(std::move(caller)) {}
    Entry(Entry&& other) noexcept
        : door_(std::exchange(other.door_, nullptr)),
          call_class_(other.call_class_),
          crowd_(std::move(other.crowd_)),
          caller_(std::move(other.caller_)) {}
    Entry& operator=(Entry&&) = delete;
    ~Entry() {
      if (door_ != nullptr) door_->Leave(call_class_, crowd_);
    }
    const Caller& caller() const { return caller_; }

   private:
    Door* door_;
    CallClass call_class_;
    std::string crowd_;  // the tenant, or the workers
    Caller caller_;
  };

  // `authorization` must outlive it. Without tokens there is one tenant, and it may have all.
  Door(Options options, const Authorization* authorization);

  // As Authorization::Check; RESOURCE_EXHAUSTED with RetryInfo (quota.h) when too many are inside.
  // `method` is one of Rules().
  absl::StatusOr<Entry> Enter(absl::string_view method, const grpc::ServerContextBase& context);
  // The same, for the value of the header "authorization" (empty: none).
  absl::StatusOr<Entry> Enter(absl::string_view method, absl::string_view authorization);

  const Options& options() const { return options_; }
  Inside InsideOf(const std::string& tenant) const;

 private:
  absl::Status Admit(CallClass call_class, const std::string& crowd);
  void Leave(CallClass call_class, const std::string& crowd);

  const Options options_;
  const Authorization& authorization_;
  mutable absl::Mutex mu_;
  Inside clients_ ABSL_GUARDED_BY(mu_);  // of all tenants
  // By tenant, and the workers; none that is all zero.
  std::map<std::string, Inside> inside_ ABSL_GUARDED_BY(mu_);
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_RPC_DOOR_H_
