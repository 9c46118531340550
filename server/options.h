// The settings of radiographd.
#ifndef RADIOGRAPH_SERVER_OPTIONS_H_
#define RADIOGRAPH_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/flags.h"

namespace radiograph {

struct ServerOptions {
  std::string listen = "127.0.0.1:7433";
  std::string http = "127.0.0.1:7434";  // empty or "none": no HTTP
  std::string state = {};               // folder
  std::string devices = "auto";
  int64_t threads = 0;
  absl::Duration lease = absl::Seconds(30);
  absl::Duration grace = absl::Seconds(10);
  absl::Duration keep_jobs = absl::Hours(30 * 24);  // after their end; 0: for ever
  absl::Duration keep_blobs = absl::Hours(24);      // that nothing needs; 0: for ever
  absl::Duration keep_memos = absl::Hours(7 * 24);  // since their last use; 0: for ever
  std::string compute = {};      // path of radiograph-compute; empty: beside this program
  std::string port_file = {};    // empty: none
  std::string tokens_file = {};  // empty: nobody needs a token
  std::string tls_cert = {}, tls_key = {};  // PEM files; empty: no TLS
  std::string tls_client_ca = {};           // empty: clients of gRPC need no certificate
  bool insecure = false;
  // Limits; 0: none.
  int64_t queued_jobs_max = 20'000, queued_jobs_per_tenant_max = 10'000;
  int64_t running_jobs_per_tenant_max = 1024;
  int64_t stored_bytes_max = 0, stored_bytes_per_tenant_max = 0;
  int64_t disk_min = -1;  // free bytes; -1: by the size of the disk (server/store/disk_space.h)
};

void AddFlags(ServerOptions& options, Flags& flags);

// What the flags can't check one by one. INVALID_ARGUMENT for an address that isn't HOST:PORT, for
// blobs that would be kept less than an hour, for half of the files of TLS and, without --insecure,
// for an address that other machines can reach unless there are TLS and tokens.
absl::Status CheckOptions(const ServerOptions& options);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_OPTIONS_H_
