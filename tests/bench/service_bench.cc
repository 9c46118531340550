// What the service costs, measured on the real programs over loopback: start, upload, create, first
// instruction. Prints rows of a Markdown table; the peer of an upload is a plain write and fsync of
// the same bytes on the same disk, in the same run.
//
//   service_bench BIN_FOLDER MODEL_FOLDER STATE_PARENT
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/process/child.h"
#include "core/safetensors/file.h"

namespace radiograph {
namespace {

constexpr int kStarts = 10;
constexpr int kUploads = 5;
constexpr int64_t kUploadBytes = 256 << 20;
constexpr int kJobs = 100;
constexpr int kCreateClients = 32;
constexpr int kCreatesPerClient = 200;

double Seconds(absl::Time since) { return absl::ToDoubleSeconds(absl::Now() - since); }

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

void Row(absl::string_view what, const std::string& figure, absl::string_view budget) {
  absl::PrintF("| %s | %s | %s |\n", what, figure, budget);
  fflush(stdout);
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A port that was free a moment ago.
absl::StatusOr<int> FreePort() {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return ErrnoStatus(errno, "can't bind", "127.0.0.1:0");
  }
  return ntohs(address.sin_port);
}

bool Listens(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(port);
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

absl::StatusOr<std::unique_ptr<Client>> Connect(const std::string& endpoint) {
  ClientOptions options;
  options.endpoint = endpoint;
  return Client::Make(options);
}

struct Server {
  std::unique_ptr<Child> process;
  std::unique_ptr<Client> client;
  std::string endpoint;
};

// Returns once the server has answered GetInfo.
absl::StatusOr<Server> StartServer(const std::string& bin, const std::string& state,
                                   absl::string_view devices) {
  ASSIGN_OR_RETURN(int port, FreePort());
  Server server{
      .process = nullptr, .client = nullptr, .endpoint = absl::StrCat("127.0.0.1:", port)};
  ASSIGN_OR_RETURN(
      server.process,
      Child::Spawn(bin + "/radiographd",
                   {absl::StrCat("--listen=", server.endpoint), "--http=127.0.0.1:0",
                    absl::StrCat("--state=", state), absl::StrCat("--devices=", devices)},
                   {absl::StrCat("PATH=", getenv("PATH"))}));
  while (!Listens(port)) {
    if (server.process->exited()) return absl::UnavailableError(server.process->StderrTail());
    usleep(500);
  }
  ASSIGN_OR_RETURN(server.client, Connect(server.endpoint));
  RETURN_IF_ERROR(server.client->GetInfo().status());
  return server;
}

absl::Status MeasureStart(const std::string& bin, const std::string& parent) {
  std::vector<double> starts;
  for (int i = 0; i < kStarts; ++i) {
    ASSIGN_OR_RETURN(TemporaryFolder state, TemporaryFolder::Make(parent));
    absl::Time begin = absl::Now();
    ASSIGN_OR_RETURN(Server server, StartServer(bin, state.path(), "none"));
    starts.push_back(Seconds(begin));
  }
  Row("server start to first answered RPC, median of 10",
      absl::StrFormat("%.0f ms", 1e3 * Quantile(starts, 0.5)), "< 150 ms");
  return absl::OkStatus();
}

// A file that no other upload shares, as a safetensors file of one tensor.
absl::Status MakeWeights(const std::string& path, int number) {
  ASSIGN_OR_RETURN(
      safetensors::Writer writer,
      safetensors::Writer::Create(path, {{"x", safetensors::DType::kU8, {kUploadBytes}}}));
  std::string piece(1 << 20, '\0');
  uint64_t state = static_cast<uint64_t>(number) + 1;
  for (int64_t done = 0; done < kUploadBytes; done += static_cast<int64_t>(piece.size())) {
    for (size_t i = 0; i < piece.size(); i += 8) {  // xorshift64
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      memcpy(&piece[i], &state, 8);
    }
    RETURN_IF_ERROR(writer.Append(piece));
  }
  return writer.Finish();
}

absl::Status WriteAndSync(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(from));
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(to, O_WRONLY | O_CREAT | O_TRUNC));
  RETURN_IF_ERROR(WriteAll(fd.get(), file.bytes(), to));
  return fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "can't sync", to);
}

// Memory that a virtual machine hands out for the first time costs several times the copy itself.
// Files that are written and removed leave behind pages that both sides of the comparison then
// find.
absl::Status WarmPageCache(const std::string& folder) {
  std::vector<std::string> paths;
  for (int i = 0; i < 3 * kUploads; ++i) {
    paths.push_back(absl::StrCat(folder, "/warm", i));
    RETURN_IF_ERROR(MakeWeights(paths.back(), i));
  }
  for (const std::string& path : paths) RETURN_IF_ERROR(RemoveTree(path));
  return absl::OkStatus();
}

absl::StatusOr<int64_t> PeakBytes(int pid) {
  ASSIGN_OR_RETURN(std::string status, ReadFile(absl::StrCat("/proc/", pid, "/status"), 1 << 20));
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    int64_t kib = 0;
    if (absl::ConsumePrefix(&line, "VmHWM:") &&
        absl::SimpleAtoi(absl::StripSuffix(absl::StripAsciiWhitespace(line), " kB"), &kib)) {
      return kib << 10;
    }
  }
  return absl::NotFoundError("no VmHWM");
}

absl::Status MeasureUpload(const std::string& bin, const std::string& parent) {
  ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::Make(parent));
  RETURN_IF_ERROR(WarmPageCache(folder.path()));
  ASSIGN_OR_RETURN(Server server, StartServer(bin, folder.path() + "/state", "none"));
  ASSIGN_OR_RETURN(int64_t idle_bytes, PeakBytes(server.process->pid()));
  std::vector<double> uploads, writes, agains;
  for (int i = 0; i < kUploads; ++i) {
    std::string path = absl::StrCat(folder.path(), "/", i, ".safetensors");
    RETURN_IF_ERROR(MakeWeights(path, i));
    absl::Time begin = absl::Now();
    RETURN_IF_ERROR(WriteAndSync(path, path + ".copy"));
    writes.push_back(Seconds(begin));
    begin = absl::Now();
    RETURN_IF_ERROR(server.client->Upload({path}).status());
    uploads.push_back(Seconds(begin));
    begin = absl::Now();
    RETURN_IF_ERROR(server.client->Upload({path}).status());
    agains.push_back(Seconds(begin));
  }
  ASSIGN_OR_RETURN(int64_t peak_bytes, PeakBytes(server.process->pid()));
  double mib = static_cast<double>(kUploadBytes) / (1 << 20);
  double upload = Quantile(uploads, 0.5), plain = Quantile(writes, 0.5);
  Row("upload of 256 MiB over loopback, client's hashing included",
      absl::StrFormat("%.0f MiB/s, %.2f of write + fsync (%.0f MiB/s)", mib / upload,
                      plain / upload, mib / plain),
      ">= 0.80");
  Row("upload of weights that are known",
      absl::StrFormat("%.0f ms, hashing them here", 1e3 * Quantile(agains, 0.5)),
      "no tensor bytes sent");
  Row("server memory added by a 256 MiB upload",
      absl::StrFormat("%.1f MiB", static_cast<double>(peak_bytes - idle_bytes) / (1 << 20)),
      "< 8 MiB a stream");
  return absl::OkStatus();
}

absl::StatusOr<v1::CreateJobRequest> SpectrumRequest(Client& client,
                                                     const std::string& model_folder) {
  v1::CreateArtifactRequest artifact;
  artifact.set_name("model");
  artifact.set_kind(v1::MODEL);
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(model_folder)) {
    if (entry.path().extension() == ".safetensors") paths.push_back(entry.path().string());
  }
  ASSIGN_OR_RETURN(std::vector<v1::Blob> blobs, client.Upload(paths));
  for (size_t i = 0; i < paths.size(); ++i) {
    v1::ArtifactFile* file = artifact.add_files();
    file->set_name(std::filesystem::path(paths[i]).filename().string());
    *file->mutable_blob() = blobs[i];
  }
  RETURN_IF_ERROR(client.CreateArtifact(artifact).status());
  v1::CreateJobRequest request;
  request.set_analysis("bilinear.spectrum");
  (*request.mutable_inputs())["model"].add_refs("model");
  (*request.mutable_params()->mutable_fields())["null_draws"].set_number_value(0);
  return request;
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Status MeasureFirstInstruction(const std::string& bin, const std::string& model,
                                     const std::string& parent) {
  ASSIGN_OR_RETURN(TemporaryFolder state, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(Server server, StartServer(bin, state.path(), "cpu"));
  ASSIGN_OR_RETURN(v1::CreateJobRequest request, SpectrumRequest(*server.client, model));
  std::vector<double> firsts, wholes;
  for (int i = -1; i < kJobs; ++i) {  // the first one warms the compute process up
    request.set_seed(i + 1);
    absl::Time begin = absl::Now();
    ASSIGN_OR_RETURN(v1::CreateJobResponse created, server.client->CreateJob(request));
    ASSIGN_OR_RETURN(v1::Job job, server.client->WaitJob(created.job().id()));
    if (job.state() != v1::SUCCEEDED) return absl::InternalError(job.error().message());
    if (i < 0) continue;
    wholes.push_back(Seconds(begin));
    firsts.push_back(
        absl::ToDoubleSeconds(ToTime(job.attempts(0).start_time()) - ToTime(job.create_time())));
  }
  Row("Create to first compute instruction, warm, idle queue",
      absl::StrFormat("p50 %.1f ms, p99 %.1f ms", 1e3 * Quantile(firsts, 0.5),
                      1e3 * Quantile(firsts, 0.99)),
      "p50 < 10 ms");
  Row("Create to result stored, digits network, `null_draws`=0",
      absl::StrFormat("p50 %.0f ms, p99 %.0f ms", 1e3 * Quantile(wholes, 0.5),
                      1e3 * Quantile(wholes, 0.99)),
      "");
  return absl::OkStatus();
}

absl::Status MeasureCreates(const std::string& bin, const std::string& model,
                            const std::string& parent) {
  ASSIGN_OR_RETURN(TemporaryFolder state, TemporaryFolder::Make(parent));
  ASSIGN_OR_RETURN(Server server, StartServer(bin, state.path(), "none"));
  ASSIGN_OR_RETURN(const v1::CreateJobRequest request, SpectrumRequest(*server.client, model));
  std::vector<std::vector<double>> seconds(kCreateClients);
  std::vector<absl::Status> statuses(kCreateClients);
  absl::Time begin = absl::Now();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kCreateClients; ++t) {
      threads.emplace_back([&, t] {
        auto client = Connect(server.endpoint);
        v1::CreateJobRequest mine = request;
        for (int i = 0; i < kCreatesPerClient && statuses[t].ok(); ++i) {
          mine.set_seed(t * kCreatesPerClient + i);
          absl::Time start = absl::Now();
          statuses[t] = (*client)->CreateJob(mine).status();
          seconds[t].push_back(Seconds(start));
        }
      });
    }
  }
  double all = Seconds(begin);
  std::vector<double> flat;
  for (int t = 0; t < kCreateClients; ++t) {
    RETURN_IF_ERROR(statuses[t]);
    flat.insert(flat.end(), seconds[t].begin(), seconds[t].end());
  }
  Row("durable Create, 32 clients",
      absl::StrFormat("%.0f/s, p99 %.0f ms", static_cast<double>(flat.size()) / all,
                      1e3 * Quantile(flat, 0.99)),
      ">= 2,000/s, p99 < 100 ms");
  return absl::OkStatus();
}

absl::Status Measure(const std::string& bin, const std::string& model, const std::string& parent) {
  Row("what", "measured", "budget");
  Row("---", "---", "---");
  RETURN_IF_ERROR(MeasureStart(bin, parent));
  RETURN_IF_ERROR(MeasureUpload(bin, parent));
  RETURN_IF_ERROR(MeasureFirstInstruction(bin, model, parent));
  return MeasureCreates(bin, model, parent);
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: service_bench BIN_FOLDER MODEL_FOLDER STATE_PARENT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  absl::Status status = radiograph::Measure(argv[1], argv[2], argv[3]);
  if (!status.ok()) fprintf(stderr, "service_bench: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
