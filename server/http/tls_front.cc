#include "server/http/tls_front.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

constexpr size_t kRequestBytesMax = 16 << 10;
constexpr timeval kStepTimeout = {.tv_sec = 5, .tv_usec = 0};  // of one read or write
constexpr int kReadsMax = 64;  // of a request: bounds who sends it byte by byte

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
  ASSIGN_OR_RETURN(front->listener_, Listener::Start(listen, [front = front.get()](UniqueFd fd) {
                     front->Take(std::move(fd));
                   }));
  return front;
}

TlsFront::~TlsFront() {
  listener_.reset();
  absl::MutexLock lock(&mu_);
  for (const int fd : connections_) shutdown(fd, SHUT_RDWR);
}

void TlsFront::Take(UniqueFd connection) {
  {
    absl::MutexLock lock(&mu_);
    if (connections_.size() >= kTlsConnectionsMax) return;
    connections_.insert(connection.get());
  }
  pool_.Post([this, fd = connection.Release()] { Serve(fd); });
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
