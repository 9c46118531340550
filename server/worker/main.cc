// radiograph-worker: runs a server's jobs on another machine, or in another container. It reaches
// the server by gRPC only.
#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/address.h"
#include "core/base/credentials.h"
#include "core/base/end_signals.h"
#include "core/base/file.h"
#include "core/base/flags.h"
#include "core/base/home.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/names.h"
#include "core/base/random_hex.h"
#include "core/base/status_macros.h"
#include "core/process/compute_process.h"
#include "server/net/grpc_log.h"
#include "server/worker/agent.h"
#include "server/worker/devices.h"
#include "server/worker/remote_blob_source.h"

namespace radiograph {
namespace {

constexpr int kReconnectMsMin = 100, kReconnectMsMax = 1000;

struct Options {
  std::string server = "127.0.0.1:7433";
  std::string state;
  std::string name;
  std::string devices = "auto";
  std::string token_file;
  std::string tls_ca, tls_cert, tls_key;
  bool insecure = false;
  int64_t threads = 0;
  int64_t cache_bytes = int64_t{64} << 30;
  absl::Duration drain_grace = absl::Seconds(30);
};

void AddFlags(Options& options, Flags& flags) {
  flags.Add("server", &options.server, "HOST:PORT of radiographd; without a port 7433");
  flags.AddPath("state", &options.state,
                "folder of this worker's own: cached blobs and job folders");
  flags.Add("name", &options.name,
            "of this worker, unlike all others; empty: host name and a number");
  flags.Add("devices", &options.devices, "auto, cpu, or UUIDs of GPUs, divided by commas");
  flags.Add("threads", &options.threads, {0, 4096}, "of a compute process; 0: the usable cores");
  flags.AddBytes("cache-bytes", &options.cache_bytes, {1 << 20, int64_t{1} << 50},
                 "most bytes of cached blobs");
  flags.AddPath("token-file", &options.token_file,
                "file that holds the token to show; empty: none");
  flags.AddPath("tls-ca", &options.tls_ca,
                "PEM file of who signs the server's certificate; empty: no TLS");
  flags.AddPath("tls-cert", &options.tls_cert,
                "PEM file of this worker's own certificate, where the server asks for one");
  flags.AddPath("tls-key", &options.tls_key, "PEM file of its key");
  flags.Add("insecure", &options.insecure, "show the token without TLS to other machines, too");
  flags.Add("drain-grace", &options.drain_grace, {absl::ZeroDuration(), absl::Hours(24)},
            "how long jobs may run on after SIGTERM");
}

// One worker per folder, until the descriptor is closed.
absl::StatusOr<UniqueFd> LockFolder(const std::string& folder) {
  RETURN_IF_ERROR(MakePrivateFolder(folder));
  ASSIGN_OR_RETURN(UniqueFd lock, OpenFile(folder + "/lock", O_RDWR | O_CREAT));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "can't lock", folder);
  return absl::FailedPreconditionError(absl::StrCat("another radiograph-worker has the folder ",
                                                    folder, "; give this one its own by --state"));
}

// The same after a restart, so that the server knows at once that the worker before is gone.
absl::StatusOr<std::string> DefaultName(const std::string& folder) {
  const std::string file = folder + "/id";
  absl::StatusOr<std::string> id = ReadFile(file, 64);
  if (absl::IsNotFound(id.status())) {
    id = RandomHex(4);
    RETURN_IF_ERROR(WriteFileDurably(file, *id));
  }
  RETURN_IF_ERROR(id.status());
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "-", *id);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CredentialsOf(const Options& options) {
  ASSIGN_OR_RETURN(const PemText authority, ReadPem("--tls-ca", options.tls_ca));
  ASSIGN_OR_RETURN(const PemText certificate, ReadPem("--tls-cert", options.tls_cert));
  ASSIGN_OR_RETURN(const PemText key, ReadPem("--tls-key", options.tls_key));
  RETURN_IF_ERROR(CheckClientTls(authority, certificate, key));
  if (authority.source.empty()) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = authority.text,
                               .pem_private_key = key.text,
                               .pem_cert_chain = certificate.text});
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(const Options& options) {
  ASSIGN_OR_RETURN(const std::string server, ParseEndpoint("--server", options.server));
  if (!options.token_file.empty()) {
    RETURN_IF_ERROR(CheckTokenIsSafe(server, !options.tls_ca.empty(), options.insecure));
  }
  ASSIGN_OR_RETURN(const auto credentials, CredentialsOf(options));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMsMin);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMsMin);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMsMax);
  return grpc::CreateCustomChannel(server, credentials, arguments);
}

absl::StatusOr<AgentOptions> MakeAgentOptions(const Options& options, std::string token) {
  AgentOptions agent;
  agent.token = std::move(token);
  agent.folder = options.state;
  agent.server = options.server;
  agent.threads = options.threads;
  agent.name = options.name;
  if (!IsUtf8(agent.name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--name is \"", absl::CHexEscape(agent.name), "\", which is not UTF-8"));
  }
  if (agent.name.empty()) {
    ASSIGN_OR_RETURN(agent.name, DefaultName(options.state));
  }
  ASSIGN_OR_RETURN(agent.compute_binary, SiblingProgram("radiograph-compute"));
  ASSIGN_OR_RETURN(agent.devices, FindDevices(options.devices, agent.compute_binary));
  if (agent.devices.empty()) return absl::InvalidArgumentError("--devices=none: no work to do");
  return agent;
}

absl::Status CheckName(const std::string& name) {
  if (IsUtf8(name) && Shown(name, name.npos) == name) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--name is '", Shown(name), "'; UTF-8 without what can't be seen is allowed"));
}

absl::Status Serve(const Options& options, const EndSignals& ends) {
  RETURN_IF_ERROR(CheckName(options.name));
  std::string token;
  if (!options.token_file.empty()) {
    ASSIGN_OR_RETURN(token, ReadToken("--token-file", options.token_file));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, Connect(options));
  ASSIGN_OR_RETURN(UniqueFd lock, LockFolder(options.state));
  ASSIGN_OR_RETURN(AgentOptions agent_options, MakeAgentOptions(options, token));
  if (!token.empty()) WarnIfOthersMayRead(options.state);
  ASSIGN_OR_RETURN(std::unique_ptr<BlobSource> blobs,
                   RemoteBlobSource::Open({.folder = options.state + "/cache",
                                           .bytes_max = options.cache_bytes,
                                           .token = agent_options.token},
                                          channel));
  Agent agent(agent_options, channel, std::move(blobs));
  RETURN_IF_ERROR(agent.Start());
  Log(LogLevel::kInfo, "working",
      {{"name", agent_options.name}, {"server", options.server}, {"state", options.state}});
  ends.Wait();
  agent.Drain(options.drain_grace);
  Log(LogLevel::kInfo, "stopped");
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  options.state = DefaultStateFolder("radiograph-worker");
  Flags flags("radiograph-worker",
              "Runs the jobs of a Radiograph server on this machine's devices.");
  AddFlags(options, flags);
  if (std::optional<int> code = flags.ParseOrExit(argc, argv)) return *code;
  LogGrpcAsOurs();
  const EndSignals ends;
  absl::Status status = Serve(options, ends);
  if (status.ok()) return 0;
  std::fprintf(stderr, "radiograph-worker: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) { return radiograph::Main(argc, argv); }
