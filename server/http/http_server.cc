#include "server/http/http_server.h"

#include <civetweb.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/base/log.h"

namespace radiograph {
namespace {

int LogMessage(const mg_connection*, const char* message) {
  Log(LogLevel::kWarning, "http_message", {{"text", message}});
  return 1;
}

void Send(mg_connection* connection, absl::string_view method, const HttpResponse& response) {
  std::string text = absl::StrCat(
      "HTTP/1.1 ", response.code, " ", mg_get_response_code_text(connection, response.code),
      "\r\nContent-Type: ", response.type, "\r\nContent-Length: ", response.body.size(),
      "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\r\n");
  if (method != "HEAD") absl::StrAppend(&text, response.body);
  mg_write(connection, text.data(), text.size());
}

}  // namespace

int HttpServer::Handle(mg_connection* connection, void* self) {
  const mg_request_info* request = mg_get_request_info(connection);
  const absl::string_view method = request->request_method;
  const Pages& pages = static_cast<const HttpServer*>(self)->pages_;
  auto page = pages.find(request->local_uri);
  HttpResponse response;
  if (method != "GET" && method != "HEAD") {
    response = {.code = 405, .body = "only GET and HEAD are answered here\n"};
  } else if (page == pages.end()) {
    response = {.code = 404, .body = "there is no such page\n"};
  } else {
    response = page->second();
  }
  Send(connection, method, response);
  return response.code;
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen,
                                                              Pages pages) {
  auto server = std::unique_ptr<HttpServer>(new HttpServer(std::move(pages)));
  mg_callbacks callbacks = {};
  callbacks.log_message = LogMessage;
  const char* options[] = {"listening_ports",
                           listen.c_str(),
                           "num_threads",
                           "4",
                           "max_request_size",
                           "16384",
                           "request_timeout_ms",
                           "10000",
                           "enable_keep_alive",
                           "no",
                           nullptr};
  server->context_ = mg_start(&callbacks, nullptr, options);
  if (server->context_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("can't listen on ", listen, " for HTTP; is another server there?"));
  }
  mg_server_port port = {};
  if (mg_get_server_ports(server->context_, 1, &port) != 1) {
    return absl::InternalError("the HTTP server doesn't tell its port");
  }
  server->port_ = port.port;
  server->address_ = absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port.port);
  mg_set_request_handler(server->context_, "/", &HttpServer::Handle, server.get());
  return server;
}

HttpServer::~HttpServer() {
  if (context_ == nullptr) return;
  absl::Notification stopped;
  std::jthread stopper([&] {
    mg_stop(context_);
    stopped.Notify();
  });
  // CivetWeb looks for its end every two seconds, or when somebody connects.
  while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(10))) {
    char error[256];
    mg_connection* wake =
        mg_connect_client("127.0.0.1", port_, /*use_ssl=*/0, error, sizeof(error));
    if (wake != nullptr) mg_close_connection(wake);
  }
}

}  // namespace radiograph
