// radiographd, the server.
#include <malloc.h>
#include <stdio.h>

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/end_signals.h"
#include "core/base/file.h"
#include "core/base/flags.h"
#include "core/base/home.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "server/daemon.h"
#include "server/net/grpc_log.h"
#include "server/options.h"

namespace radiograph {
namespace {

// An upload takes and frees pieces of up to a megabyte, each in another thread. What is freed in
// one arena serves no other, and what goes back to the kernel at once comes again as page faults
// that cost more than hashing. So there are few arenas, and each keeps a little. (With one, durable
// creates by 32 clients are a tenth slower.)
void SetMemoryPolicy() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 2 << 20);
  mallopt(M_MMAP_THRESHOLD, 8 << 20);
}

int Fail(const absl::Status& status) {
  Log(LogLevel::kError, "start_failed", {{"error", std::string(status.message())}});
  return 1;
}

absl::Status TellPorts(const Daemon& daemon, const std::string& file) {
  if (file.empty()) return absl::OkStatus();
  return WriteFileDurably(file,
                          absl::StrCat("{\"grpc\":", JsonString(daemon.grpc_address()),
                                       ",\"http\":", JsonString(daemon.http_address()), "}\n"));
}

int Main(int argc, char** argv) {
  ServerOptions options;
  options.state = DefaultStateFolder("radiograph");
  Flags flags("radiographd", "The Radiograph server: takes weights and jobs over gRPC.");
  AddFlags(options, flags);
  if (std::optional<int> exit = flags.ParseOrExit(argc, argv)) return *exit;
  if (absl::Status status = CheckOptions(options); !status.ok()) {
    fprintf(stderr, "radiographd: %s\n", std::string(status.message()).c_str());
    return 2;
  }
  SetMemoryPolicy();
  LogGrpcAsOurs();
  const EndSignals ends;
  const absl::Duration begin = SystemClock().Monotonic();
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start(options);
  if (!daemon.ok()) return Fail(daemon.status());
  if (absl::Status status = TellPorts(**daemon, options.port_file); !status.ok()) {
    return Fail(status);
  }
  Log(LogLevel::kInfo, "serving",
      {{"grpc", (*daemon)->grpc_address()},
       {"http", (*daemon)->http_address()},
       {"state", options.state},
       {"start_seconds", absl::ToDoubleSeconds(SystemClock().Monotonic() - begin)}});
  if (absl::Status status = (*daemon)->StartAgent(); !status.ok()) return Fail(status);
  ends.Wait();
  (*daemon)->Drain();
  daemon->reset();
  Log(LogLevel::kInfo, "stopped");
  return 0;
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) { return radiograph::Main(argc, argv); }
