// A small HTTP server for what people, probes and Prometheus look at. Answers GET and HEAD only.
#ifndef RADIOGRAPH_SERVER_HTTP_HTTP_SERVER_H_
#define RADIOGRAPH_SERVER_HTTP_HTTP_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

struct mg_context;
struct mg_connection;

namespace radiograph {

struct HttpResponse {
  int code = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  // By exact path. Called from several threads at once.
  using Pages = std::map<std::string, std::function<HttpResponse()>>;

  // `listen` is HOST:PORT; port 0 takes a free one. UNAVAILABLE when the address can't be had.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& listen, Pages pages);
  // Ends when the requests inside have been answered.
  ~HttpServer();

  const std::string& address() const { return address_; }

 private:
  explicit HttpServer(Pages pages) : pages_(std::move(pages)) {}
  static int Handle(mg_connection* connection, void* self);

  const Pages pages_;
  std::string address_;
  int port_ = 0;
  mg_context* context_ = nullptr;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_HTTP_HTTP_SERVER_H_
