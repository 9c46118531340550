#include "server/net/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr int kBacklog = 1024;  // the system's own limit is lower, often
constexpr int kOutOfFilesPauseMs = 100;

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<Addresses> Resolve(absl::string_view host, const std::string& port) {
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(std::string(host).c_str(), port.c_str(), &hints, &found) != 0) {
    return absl::UnavailableError(absl::StrCat("can't resolve the host ", host));
  }
  return Addresses(found, &freeaddrinfo);
}

// The port is at the same place for both families.
in_port_t* PortOf(sockaddr* address) { return &reinterpret_cast<sockaddr_in*>(address)->sin_port; }

// Listens there; the address then has the port that was taken. NOT_FOUND when this machine does not
// speak its family.
absl::StatusOr<UniqueFd> ListenOn(addrinfo& at) {
  UniqueFd fd(socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));  // connections inherit it
  if (!fd.valid() || bind(fd.get(), at.ai_addr, at.ai_addrlen) != 0 ||
      listen(fd.get(), kBacklog) != 0 || getsockname(fd.get(), at.ai_addr, &at.ai_addrlen) != 0) {
    if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) return absl::NotFoundError("no such address");
    return absl::UnavailableError(std::strerror(errno));
  }
  return fd;
}

absl::Status CannotListen(absl::string_view listen, absl::string_view why) {
  return absl::UnavailableError(
      absl::StrCat("can't listen on ", listen, " (", why, "); is another server there?"));
}

bool IsOutOfFiles(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

int64_t FilesForConnections() {
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  return static_cast<int64_t>(files.rlim_cur - files.rlim_cur / kFilesKeptOneIn);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(const std::string& listen,
                                                          std::function<void(UniqueFd)> take) {
  auto listener = std::unique_ptr<Listener>(new Listener(std::move(take)));
  RETURN_IF_ERROR(listener->Open(listen));
  listener->thread_ =
      std::jthread([listener = listener.get()](std::stop_token stop) { listener->Run(stop); });
  return listener;
}

absl::Status Listener::Open(const std::string& listen) {
  wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  const size_t colon = listen.rfind(':');
  const std::string host = listen.substr(0, colon);
  ASSIGN_OR_RETURN(const Addresses addresses, Resolve(host, listen.substr(colon + 1)));
  in_port_t port = 0;
  std::set<std::string> seen;  // a hosts file may name an address twice
  for (addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    if (!seen.insert(std::string(reinterpret_cast<char*>(at->ai_addr), at->ai_addrlen)).second) continue;
    if (port != 0) *PortOf(at->ai_addr) = port;  // the same for all
    absl::StatusOr<UniqueFd> fd = ListenOn(*at);
    if (absl::IsNotFound(fd.status())) continue;
    if (!fd.ok()) return CannotListen(listen, fd.status().message());
    port = *PortOf(at->ai_addr);
    sockets_.push_back(*std::move(fd));
  }
  if (sockets_.empty()) return CannotListen(listen, "no such address here");
  address_ = absl::StrCat(host, ":", ntohs(port));
  return absl::OkStatus();
}

void Listener::Run(std::stop_token stop) {
  std::stop_callback wake(stop, [this] { eventfd_write(wake_.get(), 1); });
  std::vector<pollfd> waiting = {{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
  for (const UniqueFd& socket : sockets_) {
    waiting.push_back({.fd = socket.get(), .events = POLLIN, .revents = 0});
  }
  while (!stop.stop_requested()) {
    // Out of descriptors: a look now and then, or the end.
    poll(waiting.data(), out_of_files_ ? 1 : waiting.size(), out_of_files_ ? kOutOfFilesPauseMs : -1);
    for (size_t i = 1; i < waiting.size(); ++i) Accept(waiting[i].fd);
  }
}

void Listener::Accept(int socket) {
  UniqueFd fd(accept4(socket, nullptr, nullptr, SOCK_CLOEXEC));
  const int error = fd.valid() ? 0 : errno;
  const bool out_of_files = IsOutOfFiles(error);  // else nobody is there, or not any more
  if (out_of_files && !out_of_files_) {
    Log(LogLevel::kWarning, "out_of_files", {{"error", std::string(std::strerror(error))}});
  }
  out_of_files_ = out_of_files;
  // The system gives the lowest free number: so many are taken.
  if (fd.valid() && fd.get() < FilesForConnections()) take_(std::move(fd));
}

}  // namespace radiograph
