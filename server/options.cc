#include "server/options.h"

#include "absl/strings/str_cat.h"
#include "core/base/address.h"
#include "core/base/status_macros.h"
#include "server/store/collector.h"

namespace radiograph {
namespace {

constexpr absl::Duration kKeepMax = absl::Hours(24 * 36'500);

absl::Status CheckAddress(absl::string_view flag, absl::string_view address, bool guarded) {
  RETURN_IF_ERROR(CheckListenAddress(absl::StrCat("--", flag), address));
  if (guarded || IsLoopback(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag, " is '", address,
      "', which other machines can reach, and anybody there could use this server: give it "
      "--tls-cert, --tls-key and --tokens-file, listen on 127.0.0.1, or say --insecure if the "
      "network itself is safe"));
}

void AddLimitFlags(ServerOptions& options, Flags& flags) {
  constexpr Flags::Range<int64_t> kJobs{.min = 0, .max = 10'000'000};
  constexpr Flags::Range<int64_t> kBytes{.min = 0, .max = int64_t{1} << 60};
  flags.Add("queued-jobs-max", &options.queued_jobs_max, kJobs,
            "jobs that may wait, of all tenants together; 0: no limit");
  flags.Add("queued-jobs-per-tenant-max", &options.queued_jobs_per_tenant_max, kJobs,
            "jobs of one tenant that may wait; 0: no limit");
  flags.Add("running-jobs-per-tenant-max", &options.running_jobs_per_tenant_max, kJobs,
            "jobs of one tenant that run at once, more wait; 0: no limit");
  flags.AddBytes("stored-bytes-max", &options.stored_bytes_max, kBytes,
                 "bytes of all blobs, each once: past it uploads are refused; 0: no limit");
  flags.AddBytes("stored-bytes-per-tenant-max", &options.stored_bytes_per_tenant_max, kBytes,
                 "bytes of the blobs that one tenant has; 0: no limit");
  flags.AddBytes(
      "disk-min", &options.disk_min, {.min = -1, .max = int64_t{1} << 60},
      "bytes that must be free where the state folder is, else nothing new is taken; -1: "
      "1GiB, or a twentieth of a smaller disk; 0: none");
}

}  // namespace

void AddFlags(ServerOptions& options, Flags& flags) {
  flags.Add("listen", &options.listen, "HOST:PORT for gRPC; port 0 takes a free one");
  flags.Add("http", &options.http,
            "HOST:PORT for /metrics, /healthz, /readyz and a page to look at; none: no HTTP");
  flags.AddPath("state", &options.state,
                "folder of everything that must not be lost; one server each");
  flags.Add("devices", &options.devices,
            "what the server itself computes on: auto (GPUs, else the CPU), cpu, none (remote "
            "workers only), or UUIDs of GPUs divided by commas");
  flags.Add("threads", &options.threads, {.min = 0, .max = 1024},
            "threads of each compute process; 0: the usable cores");
  flags.Add("lease", &options.lease, {.min = absl::Seconds(1), .max = absl::Hours(1)},
            "how long a worker may be silent before its job is given to another");
  flags.Add(
      "grace", &options.grace, {.min = absl::ZeroDuration(), .max = absl::Hours(1)},
      "after SIGTERM: how long running jobs and calls may go on; a second signal ends at once");
  flags.Add("keep-jobs", &options.keep_jobs, {.min = absl::ZeroDuration(), .max = kKeepMax},
            "how long after its end a job is kept, with its inputs and result; 0: for ever");
  flags.Add("keep-blobs", &options.keep_blobs, {.min = absl::ZeroDuration(), .max = kKeepMax},
            "how long uploaded bytes are kept that no artifact and no job needs, at least 1h; 0: "
            "for ever");
  flags.Add("keep-memos", &options.keep_memos, {.min = absl::ZeroDuration(), .max = kKeepMax},
            "how long after its last use a partial result is kept that jobs share; 0: for ever");
  flags.AddPath("compute", &options.compute,
                "path of radiograph-compute; empty: beside this program");
  flags.AddPath("port-file", &options.port_file,
                "file that tells the addresses as JSON once the server answers; empty: none");
  flags.Add("insecure", &options.insecure,
            "listen where other machines can reach it, without TLS and tokens");
  flags.AddPath(
      "tokens-file", &options.tokens_file,
      "file of who may call (deploy/README.md), read again when it changes; empty: anybody");
  flags.AddPath("tls-cert", &options.tls_cert,
                "PEM file of the certificate and those that lead to its root; read again when it "
                "changes; empty: no TLS");
  flags.AddPath("tls-key", &options.tls_key, "PEM file of the certificate's private key");
  flags.AddPath("tls-client-ca", &options.tls_client_ca,
                "PEM file of the authority whose certificates gRPC clients must show; empty: none");
  AddLimitFlags(options, flags);
}

absl::Status CheckOptions(const ServerOptions& options) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key are given together or not at all");
  }
  if (!options.tls_client_ca.empty() && options.tls_cert.empty()) {
    return absl::InvalidArgumentError("--tls-client-ca needs --tls-cert and --tls-key");
  }
  const bool guarded =
      options.insecure || (!options.tls_cert.empty() && !options.tokens_file.empty());
  RETURN_IF_ERROR(CheckAddress("listen", options.listen, guarded));
  if (!options.http.empty() && options.http != "none") {
    RETURN_IF_ERROR(CheckAddress("http", options.http, guarded));
  }
  if (options.keep_blobs != absl::ZeroDuration() && options.keep_blobs < kKeepBlobsMin) {
    return absl::InvalidArgumentError(
        absl::StrCat("--keep-blobs is ", absl::FormatDuration(options.keep_blobs),
                     "; clients are promised 1h between an upload and its use, so at least that, "
                     "or 0 for ever, is allowed"));
  }
  if (options.state.empty())
    return absl::InvalidArgumentError("--state is empty; a folder is meant");
  return absl::OkStatus();
}

}  // namespace radiograph
