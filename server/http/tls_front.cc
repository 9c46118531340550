#include "server/http/tls_front.h"

#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr size_t kRequestBytesMax = 16 << 10;
constexpr timeval kStepTimeout = {.tv_sec = 5, .tv_usec = 0};  // of one read or write
constexpr int kReadsMax = 64;  // of a request: bounds who sends it byte by byte
constexpr int kBacklog = 64;
constexpr int kOutOfFilesPauseMs = 100;

void SetTimeouts(int fd) {
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kStepTimeout, sizeof(kStepTimeout));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kStepTimeout, sizeof(kStepTimeout));
}

using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

Bio Open(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
}

// The certificate, those after it, and the key.
bool Use(const TlsPems& pems, SSL_CTX* context) {
  const Bio certificates = Open(pems.certificates), keys = Open(pems.key);
  std::unique_ptr<X509, decltype(&X509_free)> own(
      PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr), &X509_free);
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(keys.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  if (own == nullptr || key == nullptr || SSL_CTX_use_certificate(context, own.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return false;
  }
  while (X509* next = PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, next) != 1) X509_free(next);
  }
  return true;
}

// A request of GET or HEAD ends with an empty line; whatever else, the HTTP server refuses it.
std::string ReadRequest(SSL* ssl) {
  std::string request;
  char piece[4096];
  for (int i = 0; i < kReadsMax && request.size() < kRequestBytesMax; ++i) {
    const int got = SSL_read(ssl, piece, sizeof(piece));
    if (got <= 0) return "";
    request.append(piece, got);
    if (absl::StrContains(request, "\r\n\r\n")) return request;
  }
  return "";
}

// Asks the HTTP server, which closes after its answer, and hands that on.
absl::Status Relay(int port, const std::string& request, SSL* ssl) {
  const UniqueFd backend(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  SetTimeouts(backend.get());
  if (connect(backend.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus(errno, "can't reach", "the HTTP server");
  }
  RETURN_IF_ERROR(WriteAll(backend.get(), request, "the HTTP server"));
  char piece[16 << 10];
  while (true) {
    ASSIGN_OR_RETURN(const int64_t got,
                     ReadSome(backend.get(), absl::MakeSpan(piece), "the HTTP server"));
    if (got == 0 || SSL_write(ssl, piece, static_cast<int>(got)) <= 0) return absl::OkStatus();
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsFront>> TlsFront::Start(const std::string& listen,
                                                          const TlsFiles* files, int backend_port) {
  auto front = std::unique_ptr<TlsFront>(new TlsFront(files, backend_port));
  RETURN_IF_ERROR(front->Listen(listen));
  front->acceptor_ =
      std::jthread([front = front.get()](std::stop_token stop) { front->Accept(stop); });
  return front;
}

absl::Status TlsFront::Listen(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  absl::string_view host = absl::string_view(listen).substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(std::string(host).c_str(), listen.c_str() + colon + 1, &hints, &found) != 0) {
    return absl::UnavailableError(absl::StrCat("can't resolve ", listen));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, &freeaddrinfo);
  listener_ = UniqueFd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  if (bind(listener_.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(listener_.get(), kBacklog) != 0 ||
      getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return absl::UnavailableError(
        absl::StrCat("can't listen on ", listen, " for HTTP; is another server there?"));
  }
  // The port is at the same place for both families.
  const int port = ntohs(reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
  address_ = absl::StrCat(listen.substr(0, colon), ":", port);
  return absl::OkStatus();
}

TlsFront::~TlsFront() {
  acceptor_.request_stop();
  shutdown(listener_.get(), SHUT_RDWR);  // wakes accept
  acceptor_ = {};
  absl::MutexLock lock(&mu_);
  for (const int fd : connections_) shutdown(fd, SHUT_RDWR);
}

void TlsFront::Accept(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE) poll(nullptr, 0, kOutOfFilesPauseMs);
      if (stop.stop_requested() || errno == EINVAL) return;  // EINVAL: the destructor's shutdown
      continue;
    }
    {
      absl::MutexLock lock(&mu_);
      if (connections_.size() >= kTlsConnectionsMax) {
        UniqueFd refused(fd);
        continue;
      }
      connections_.insert(fd);
    }
    pool_.Post([this, fd] { Serve(fd); });
  }
}

void TlsFront::Serve(int fd) {
  SetTimeouts(fd);
  const Context context = CurrentContext();
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl(
      context == nullptr ? nullptr : SSL_new(context.get()), &SSL_free);
  if (ssl != nullptr && SSL_set_fd(ssl.get(), fd) == 1 && SSL_accept(ssl.get()) == 1) {
    const std::string request = ReadRequest(ssl.get());
    // Who is at fault sees a broken connection, whatever broke.
    if (!request.empty()) static_cast<void>(Relay(backend_port_, request, ssl.get()));
    SSL_shutdown(ssl.get());
  }
  ERR_clear_error();
  absl::MutexLock lock(&mu_);
  connections_.erase(fd);
  UniqueFd closed(fd);
}

TlsFront::Context TlsFront::CurrentContext() {
  std::shared_ptr<const TlsPems> pems = files_.Current();
  absl::MutexLock lock(&mu_);
  if (pems == pems_) return context_;
  context_ = Context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
  if (!Use(*pems, context_.get())) context_ = nullptr;
  pems_ = std::move(pems);
  return context_;
}

}  // namespace radiograph
