// A small HTTP server for what people, probes and Prometheus look at. Answers GET and HEAD only.
#ifndef RADIOGRAPH_SERVER_HTTP_HTTP_SERVER_H_
#define RADIOGRAPH_SERVER_HTTP_HTTP_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/auth/tls_files.h"
#include "server/http/tls_front.h"

struct mg_context;
struct mg_connection;

namespace radiograph {

struct HttpResponse {
  int code = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::string challenge = {};  // WWW-Authenticate
};

class HttpServer {
 public:
  struct Page {
    std::function<HttpResponse()> answer;
    bool open = false;  // to all, whatever `authorize` says
  };
  // By exact path. Called from several threads at once.
  using Pages = std::map<std::string, Page>;
  struct Options {
    std::string listen;             // HOST:PORT; port 0 takes a free one
    const TlsFiles* tls = nullptr;  // null: no TLS; must outlive the server
    // UNAUTHENTICATED or PERMISSION_DENIED for the value of the header Authorization ("": none).
    std::function<absl::Status(absl::string_view)> authorize = nullptr;  // null: all may see all
  };

  // UNAVAILABLE when the address can't be had.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Options options, Pages pages);
  // Ends when the requests inside have been answered.
  ~HttpServer();

  const std::string& address() const { return front_ ? front_->address() : address_; }

 private:
  HttpServer(Options options, Pages pages)
      : options_(std::move(options)), pages_(std::move(pages)) {}
  HttpResponse Answer(mg_connection* connection) const;
  static int Handle(mg_connection* connection, void* self);

  const Options options_;
  const Pages pages_;
  std::string address_;
  int port_ = 0;
  mg_context* context_ = nullptr;
  std::unique_ptr<TlsFront> front_;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_HTTP_HTTP_SERVER_H_
