#include "server/options.h"

#include <arpa/inet.h>

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

absl::string_view HostOf(absl::string_view address) {
  const size_t colon = address.rfind(':');
  absl::string_view host = address.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  return host;
}

absl::Status CheckAddress(absl::string_view flag, absl::string_view address, bool insecure) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon == absl::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--", flag, " is '", address, "'; HOST:PORT with a port of 0..65535 is meant"));
  }
  if (insecure || IsLoopback(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag, " is '", address,
      "', which other machines can reach, and anybody there could use "
      "this server: listen on 127.0.0.1, or say --insecure if the network itself is safe"));
}

}  // namespace

bool IsLoopback(absl::string_view address) {
  const std::string host(HostOf(address));
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return host == "localhost";
}

std::string DefaultStateFolder() {
  const char* state = getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return absl::StrCat(state, "/radiograph");
  const char* home = getenv("HOME");
  if (home != nullptr && *home == '/') return absl::StrCat(home, "/.local/state/radiograph");
  return "radiograph-state";
}

void AddFlags(ServerOptions& options, Flags& flags) {
  flags.Add("listen", &options.listen, "HOST:PORT for gRPC; port 0 takes a free one");
  flags.Add("http", &options.http,
            "HOST:PORT for /metrics, /healthz, /readyz and a page to look at; none: no HTTP");
  flags.Add("state", &options.state, "folder of everything that must not be lost; one server each");
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
  flags.Add("compute", &options.compute, "path of radiograph-compute; empty: beside this program");
  flags.Add("port-file", &options.port_file,
            "file that tells the addresses as JSON once the server answers; empty: none");
  flags.Add("insecure", &options.insecure,
            "listen where other machines can reach it, without TLS and tokens");
}

absl::Status CheckOptions(const ServerOptions& options) {
  RETURN_IF_ERROR(CheckAddress("listen", options.listen, options.insecure));
  if (!options.http.empty() && options.http != "none") {
    RETURN_IF_ERROR(CheckAddress("http", options.http, options.insecure));
  }
  if (options.state.empty())
    return absl::InvalidArgumentError("--state is empty; a folder is meant");
  return absl::OkStatus();
}

}  // namespace radiograph
