#include "server/daemon.h"

#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "core/process/compute_process.h"
#include "server/rpc/services.h"
#include "server/worker/devices.h"

namespace radiograph {
namespace {

constexpr int kPoolThreads = 4;
constexpr absl::Duration kCollectFirst = absl::Minutes(5);  // after the start
constexpr absl::Duration kCollectInterval = absl::Hours(1);
constexpr absl::Duration kDiskLookInterval = absl::Seconds(1);
constexpr absl::Duration kReloadInterval = absl::Seconds(1);  // of tokens and certificates

// $0 version, $1 gRPC address, $2 rows of jobs.
constexpr char kIndexPage[] = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Radiograph</title>
<style>body{font:16px sans-serif;max-width:40em;margin:3em auto;padding:0 1em}
td{padding:.1em 1.5em .1em 0}td+td{text-align:right}</style></head>
<body><h1>Radiograph $0</h1>
<p>X-rays of neural networks. gRPC is at <code>$1</code>.</p>
<table>$2</table>
<p><a href="/metrics">/metrics</a> for Prometheus, <a href="/healthz">/healthz</a>: the process lives,
<a href="/readyz">/readyz</a>: it takes work.</p>
</body></html>
)";

// What happens to jobs goes to the metrics and to the log.
JobsObserver WithLog(JobsObserver metrics) {
  JobsObserver observer;
  observer.created = [next = metrics.created](const v1::Job& job) {
    next(job);
    Log(LogLevel::kInfo, "job_created",
        {{"job", job.id()}, {"analysis", job.analysis()}, {"cache_hit", job.cache_hit()}});
  };
  observer.finished = [next = metrics.finished](const v1::Job& job, absl::Duration queued,
                                                absl::Duration ran) {
    next(job, queued, ran);
    Log(LogLevel::kInfo, "job_finished",
        {{"job", job.id()},
         {"state", absl::AsciiStrToLower(v1::JobState_Name(job.state()))},
         {"attempts", job.attempts_size()},
         {"queued_seconds", absl::ToDoubleSeconds(queued)},
         {"run_seconds", absl::ToDoubleSeconds(ran)},
         {"error", job.error().message()}});
  };
  observer.requeued = [next = metrics.requeued](const v1::Job& job) {
    next(job);
    const v1::Attempt& attempt = job.attempts(job.attempts_size() - 1);
    Log(LogLevel::kWarning, "job_requeued",
        {{"job", job.id()},
         {"attempt", attempt.number()},
         {"outcome", attempt.outcome()},
         {"slot", attempt.slot()}});
  };
  return observer;
}

absl::Duration OrForEver(absl::Duration keep) {
  return keep == absl::ZeroDuration() ? absl::InfiniteDuration() : keep;
}

void TellRetention(const Collector::Options& options, v1::Retention& retention) {
  auto tell = [](absl::Duration keep, auto set) {
    if (keep < absl::InfiniteDuration()) set()->set_seconds(absl::ToInt64Seconds(keep));
  };
  tell(options.keep_jobs, [&] { return retention.mutable_jobs(); });
  tell(options.keep_blobs, [&] { return retention.mutable_blobs(); });
  tell(options.keep_memos, [&] { return retention.mutable_memos(); });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const ServerOptions& options) {
  auto daemon = std::unique_ptr<Daemon>(new Daemon(options));
  RETURN_IF_ERROR(daemon->OpenAuth());
  RETURN_IF_ERROR(daemon->OpenStore());
  RETURN_IF_ERROR(daemon->StartRpc());
  RETURN_IF_ERROR(daemon->StartHttp());
  daemon->StartCollecting();
  return daemon;
}

absl::Status Daemon::OpenAuth() {
  ASSIGN_OR_RETURN(build_, Sha256OfFile("/proc/self/exe"));
  metrics_ = std::make_unique<ServerMetrics>(RADIOGRAPH_VERSION, build_.sha256);
  if (!options_.tokens_file.empty()) {
    ASSIGN_OR_RETURN(tokens_, Tokens::Open(options_.tokens_file));
  }
  if (!options_.tls_cert.empty()) {
    ASSIGN_OR_RETURN(tls_, TlsFiles::Open({.certificates = options_.tls_cert,
                                           .key = options_.tls_key,
                                           .client_authority = options_.tls_client_ca}));
  }
  worker_token_ = RandomHex(32);
  authorization_ = std::make_unique<Authorization>(
      tokens_.get(), worker_token_, [this](Refusal refusal) { metrics_->Refused(refusal); });
  return absl::OkStatus();
}

void Daemon::ScheduleReload() {
  errands_->PostAt(clock_.Monotonic() + kReloadInterval, [this] {
    ScheduleReload();
    if (reloading_.exchange(true)) return;  // one thread at a time
    pool_->Post([this] {
      if (tokens_ != nullptr) tokens_->Reload();
      if (tls_ != nullptr) tls_->Reload();
      reloading_ = false;
    });
  });
}

Collector::Options Daemon::CollectorOptions() {
  return {.keep_jobs = OrForEver(options_.keep_jobs),
          .keep_blobs = OrForEver(options_.keep_blobs),
          .keep_memos = OrForEver(options_.keep_memos),
          .on_collected = [this](const v1::CollectResponse& collected) {
            metrics_->Collected(collected, clock_.Now());
            Log(LogLevel::kInfo, "collected",
                {{"jobs", collected.jobs()},
                 {"memos", collected.memos()},
                 {"blobs", collected.blobs()},
                 {"bytes", collected.bytes()}});
          }};
}

absl::Status Daemon::OpenStore() {
  blob_options_.folder = options_.state;
  blob_options_.on_damaged = [this] { metrics_->FoundDamaged(); };
  blob_options_.stored_bytes_max = options_.stored_bytes_max;
  blob_options_.stored_bytes_per_tenant_max = options_.stored_bytes_per_tenant_max;
  blob_options_.disk_free_bytes_min = options_.disk_min;
  if (tokens_ == nullptr) blob_options_.uploads_per_tenant_max = blob_options_.uploads_max;
  ASSIGN_OR_RETURN(store_, Store::Open(blob_options_, &clock_, &disk_));
  // Tenants are kept apart, so what they have is not for every account either.
  if (tokens_ != nullptr) WarnIfOthersMayRead(options_.state);
  pool_ = std::make_unique<Pool>(kPoolThreads);
  errands_ = std::make_unique<Errands>(&clock_);
  jobs_options_.lease_term = options_.lease;
  jobs_options_.keep = OrForEver(options_.keep_jobs);
  jobs_options_.on_state_replaced = [this](const std::string& sha256) {
    collector_->RemoveState(sha256);
  };
  jobs_options_.queued_jobs_max = options_.queued_jobs_max;
  jobs_options_.queued_jobs_per_tenant_max = options_.queued_jobs_per_tenant_max;
  jobs_options_.running_jobs_per_tenant_max = options_.running_jobs_per_tenant_max;
  ASSIGN_OR_RETURN(jobs_, Jobs::Open(jobs_options_, store_.get(), &clock_, errands_.get(),
                                     WithLog(metrics_->Observer())));
  collector_ = std::make_unique<Collector>(
      CollectorOptions(), store_.get(), &clock_,
      [this](absl::Span<const JobKey> keys) { return jobs_->Forget(keys); });
  errands_->Start();
  if (tokens_ != nullptr || tls_ != nullptr) ScheduleReload();
  return absl::OkStatus();
}

void Daemon::StartCollecting() {
  collecting_ = std::jthread([this](const std::stop_token& stop) {
    absl::Mutex mu;
    std::stop_callback wake(stop, [&mu] { absl::MutexLock lock(&mu); });
    auto stopped = [&stop] { return stop.stop_requested(); };
    auto wait = [&](absl::Duration time) {
      absl::MutexLock lock(&mu);
      return mu.AwaitWithTimeout(absl::Condition(&stopped), time);
    };
    for (bool ends = wait(kCollectFirst); !ends; ends = wait(kCollectInterval)) {
      const absl::Status status = collector_->Collect(/*validate_only=*/false, stopped).status();
      if (!status.ok() && !stopped()) {
        Log(LogLevel::kWarning, "collection_failed", {{"error", std::string(status.message())}});
      }
    }
  });
}

// Readiness follows the disk, also while nobody calls.
void Daemon::ScheduleDiskLook() {
  errands_->PostAt(clock_.Monotonic() + kDiskLookInterval, [this] {
    ScheduleDiskLook();
    pool_->Post([this] {
      store_->blobs->space().Look();
      SetServing();
    });
  });
}

// With the lock, so that a look that began before a drain does not end it.
void Daemon::SetServing() {
  absl::MutexLock lock(&serving_mu_);
  if (!stopped_) rpc_->SetServing(!draining_ && !store_->blobs->space().low());
}

absl::Status Daemon::StartRpc() {
  headers_ = std::make_unique<HeaderCache>(store_->blobs.get());
  door_ = std::make_unique<Door>(Door::Options(), authorization_.get());
  backend_ = std::make_unique<Backend>(Backend{.store = store_.get(),
                                               .jobs = jobs_.get(),
                                               .headers = headers_.get(),
                                               .door = door_.get(),
                                               .pool = pool_.get(),
                                               .collector = collector_.get(),
                                               .clock = &clock_,
                                               .disk = &disk_});
  backend_->on_exhausted = [this](absl::string_view reason) { metrics_->Exhausted(reason); };
  v1::ServerInfo& info = backend_->info;
  info.set_version(RADIOGRAPH_VERSION);
  info.set_build(build_.sha256);
  info.set_protocol_version(1);
  info.set_digest_function("SHA256");
  *info.mutable_limits() = MakeLimits(door_->options(), blob_options_, jobs_options_);
  if (tokens_ == nullptr) info.add_auth_modes("none");
  if (tokens_ != nullptr) info.add_auth_modes("token");
  if (!options_.tls_client_ca.empty()) info.add_auth_modes("mtls");
  TellRetention(collector_->options(), *info.mutable_retention());
  info.mutable_start_time()->set_seconds(absl::ToUnixSeconds(clock_.Now()));
  info.set_instance(RandomHex(8));
  rpc_metrics_ = std::make_unique<RpcMetrics>(metrics_->registry());
  RpcServer::Options rpc{.listen = options_.listen, .tls = tls_.get(), .interceptors = {}};
  rpc.interceptors.push_back(rpc_metrics_->Interceptor());
  ASSIGN_OR_RETURN(rpc_, RpcServer::Start(std::move(rpc), backend_.get()));
  SetServing();
  ScheduleDiskLook();
  return absl::OkStatus();
}

absl::Status Daemon::StartHttp() {
  if (options_.http.empty() || options_.http == "none") return absl::OkStatus();
  HttpServer::Options http{.listen = options_.http, .tls = tls_.get()};
  http.authorize = [this](absl::string_view authorization) {
    return authorization_->Check("this page", kRead, authorization).status();
  };
  ASSIGN_OR_RETURN(
      http_, HttpServer::Start(std::move(http),
                               {{"/", {[this] { return Index(); }}},
                                {"/metrics", {[this] { return Metrics(); }}},
                                {"/healthz", {[] { return HttpResponse{.body = "ok\n"}; }, true}},
                                {"/readyz", {[this] { return Ready(); }, true}}}));
  return absl::OkStatus();
}

absl::Status Daemon::StartAgent() {
  if (options_.devices == "none") return absl::OkStatus();
  std::string compute = options_.compute;
  if (compute.empty()) {
    ASSIGN_OR_RETURN(compute, SiblingProgram("radiograph-compute"));
  } else if (access(compute.c_str(), X_OK) != 0) {
    return ErrnoStatus(errno, "can't run", compute);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> devices, FindDevices(options_.devices, compute));
  AgentOptions agent{.name = "embedded",
                     .server = "this process",
                     .folder = absl::StrCat(options_.state, "/work"),
                     .devices = devices,
                     .threads = options_.threads,
                     .compute_binary = compute,
                     .token = worker_token_};
  agent_ = std::make_unique<Agent>(
      std::move(agent), rpc_->InProcessChannel(),
      std::make_unique<LocalBlobSource>(
          [this](const std::string& sha256, const std::stop_token& stop) {
            return store_->blobs->Path(sha256, [&] { return stop.stop_requested(); });
          }));
  return agent_->Start();
}

void Daemon::Drain() {
  draining_ = true;
  SetServing();
  if (agent_ != nullptr) agent_->Drain(options_.grace);
  jobs_->Shutdown();
  rpc_->Shutdown(options_.grace);
}

Daemon::~Daemon() {
  collecting_ = {};
  http_.reset();
  agent_.reset();
  if (jobs_ != nullptr) jobs_->Shutdown();
  {
    absl::MutexLock lock(&serving_mu_);
    stopped_ = true;
  }
  rpc_.reset();
}

HttpResponse Daemon::Metrics() {
  absl::StatusOr<JobsSnapshot> snapshot = jobs_->Snapshot();
  absl::StatusOr<int64_t> blob_bytes = store_->blobs->TotalBytes();
  if (!snapshot.ok() || !blob_bytes.ok())
    return {.code = 500, .body = "the store doesn't answer\n"};
  return {
      .type = "text/plain; version=0.0.4; charset=utf-8",
      .body = metrics_->Text(*snapshot, {.blob_bytes = *blob_bytes,
                                         .disk_free_bytes = store_->blobs->space().free_bytes()})};
}

HttpResponse Daemon::Ready() {
  if (draining_) return {.code = 503, .body = "draining\n"};
  const absl::Status store = jobs_->Snapshot().status();
  if (!store.ok()) return {.code = 503, .body = "the store doesn't answer\n"};
  const DiskSpace& space = store_->blobs->space();
  if (space.low()) {
    return {.code = 503,
            .body = absl::StrCat("the disk is low: ", space.free_bytes(), " bytes are free, of ",
                                 space.free_bytes_min(), " that must be; reads go on\n")};
  }
  return {.body = "ok\n"};
}

HttpResponse Daemon::Index() {
  std::string rows;
  const absl::StatusOr<JobsSnapshot> snapshot = jobs_->Snapshot();
  if (snapshot.ok()) {
    for (const auto& [state, count] : snapshot->jobs) {
      absl::StrAppend(&rows, "<tr><td>jobs ", absl::AsciiStrToLower(v1::JobState_Name(state)),
                      "</td><td>", count, "</td></tr>");
    }
  }
  return {.type = "text/html; charset=utf-8",
          .body = absl::Substitute(kIndexPage, RADIOGRAPH_VERSION, grpc_address(), rows)};
}

}  // namespace radiograph
