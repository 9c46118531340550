// The whole server in one object: store, queue, gRPC, HTTP and the agent of this machine's devices.
#ifndef RADIOGRAPH_SERVER_DAEMON_H_
#define RADIOGRAPH_SERVER_DAEMON_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "server/auth/authorization.h"
#include "server/auth/tls_files.h"
#include "server/auth/tokens.h"
#include "server/http/http_server.h"
#include "server/http/server_metrics.h"
#include "server/jobs/errands.h"
#include "server/jobs/jobs.h"
#include "server/options.h"
#include "server/rpc/backend.h"
#include "server/rpc/rpc_metrics.h"
#include "server/rpc/server.h"
#include "server/store/collector.h"
#include "server/store/disk.h"
#include "server/store/store.h"
#include "server/worker/agent.h"

namespace radiograph {

class Daemon {
 public:
  // Answers calls when it returns. FAILED_PRECONDITION when another server has the state folder.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const ServerOptions& options);
  // Stops at once: what runs is run again by the next server.
  ~Daemon();

  // Begins to compute on options.devices, if any. Apart from Start because `auto` asks a compute
  // process whether the GPUs can be used: calls needn't wait for that.
  absl::Status StartAgent();

  const std::string& grpc_address() const { return rpc_->address(); }
  // Empty without HTTP.
  std::string http_address() const { return http_ == nullptr ? "" : http_->address(); }

  // Health says NOT_SERVING, the agent takes no new lease; jobs and calls may go on for the grace
  // each, then they are stopped. The store is closed by the destructor.
  void Drain();

 private:
  explicit Daemon(const ServerOptions& options) : options_(options) {}
  absl::Status OpenStore();
  Collector::Options CollectorOptions();
  void StartCollecting();
  void ScheduleDiskLook();
  absl::Status OpenAuth();
  void ScheduleReload();
  absl::Status StartRpc();
  void SetServing();
  absl::Status StartHttp();
  HttpResponse Metrics();
  HttpResponse Ready();
  HttpResponse Index();

  const ServerOptions options_;
  BlobStore::Options blob_options_;
  JobsOptions jobs_options_;
  FileDigest build_;  // of the program
  const SystemClock clock_;
  Disk disk_;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> reloading_ = false;
  absl::Mutex serving_mu_;
  bool stopped_ ABSL_GUARDED_BY(serving_mu_) = false;
  std::string worker_token_;
  // In the order of their making: each uses those before it.
  std::unique_ptr<ServerMetrics> metrics_;
  std::unique_ptr<RpcMetrics> rpc_metrics_;
  std::unique_ptr<Tokens> tokens_;  // null: nobody needs one
  std::unique_ptr<TlsFiles> tls_;   // null: no TLS
  std::unique_ptr<Authorization> authorization_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Errands> errands_;
  std::unique_ptr<Jobs> jobs_;
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<HeaderCache> headers_;
  std::unique_ptr<Door> door_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<RpcServer> rpc_;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<HttpServer> http_;
  std::jthread collecting_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_DAEMON_H_
