#include "tests/bench/service.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

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

}  // namespace

double Seconds(absl::Time since) { return absl::ToDoubleSeconds(absl::Now() - since); }

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
}

void TableHead() {
  Row("what", "measured", "budget");
  Row("---", "---", "---");
}

void Row(absl::string_view what, const std::string& figure, absl::string_view budget) {
  absl::PrintF("| %s | %s | %s |\n", what, figure, budget);
  fflush(stdout);
}

absl::StatusOr<std::unique_ptr<Client>> Connect(const std::string& endpoint) {
  ClientOptions options;
  options.endpoint = endpoint;
  return Client::Make(options);
}

absl::StatusOr<std::string> HttpGet(const std::string& address, absl::string_view page) {
  int port = 0;
  if (!absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) {
    return absl::InvalidArgumentError(absl::StrCat("no port in ", address));
  }
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to = Loopback(port);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    return ErrnoStatus(errno, "can't reach", address);
  }
  RETURN_IF_ERROR(WriteAll(fd.get(), absl::StrCat("GET ", page, " HTTP/1.0\r\n\r\n"), address));
  std::string answer, piece(64 << 10, '\0');
  while (true) {
    ASSIGN_OR_RETURN(const int64_t size, ReadSome(fd.get(), absl::MakeSpan(piece), address));
    if (size == 0) break;
    answer.append(piece, 0, size);
  }
  const size_t head = answer.find("\r\n\r\n");
  if (answer.find(" 200 ") > head) return absl::UnavailableError(answer.substr(0, 200));
  return answer.substr(head + 4);
}

absl::StatusOr<Server> StartServer(const std::string& bin, const std::string& state,
                                   absl::string_view devices,
                                   const std::vector<std::string>& more_flags) {
  ASSIGN_OR_RETURN(int port, FreePort());
  ASSIGN_OR_RETURN(int http_port, FreePort());
  Server server{.process = nullptr,
                .client = nullptr,
                .endpoint = absl::StrCat("127.0.0.1:", port),
                .http = absl::StrCat("127.0.0.1:", http_port)};
  std::vector<std::string> flags = {
      absl::StrCat("--listen=", server.endpoint), absl::StrCat("--http=", server.http),
      absl::StrCat("--state=", state), absl::StrCat("--devices=", devices)};
  flags.insert(flags.end(), more_flags.begin(), more_flags.end());
  ASSIGN_OR_RETURN(server.process, Child::Spawn(bin + "/radiographd", flags,
                                                {absl::StrCat("PATH=", getenv("PATH"))}));
  while (!Listens(port)) {
    if (server.process->exited()) return absl::UnavailableError(server.process->StderrTail());
    usleep(500);
  }
  ASSIGN_OR_RETURN(server.client, Connect(server.endpoint));
  RETURN_IF_ERROR(server.client->GetInfo().status());
  return server;
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

}  // namespace radiograph
