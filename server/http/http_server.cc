#include "server/http/http_server.h"

#include <civetweb.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"

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
      "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n");
  if (!response.challenge.empty()) {
    absl::StrAppend(&text, "WWW-Authenticate: ", response.challenge, "\r\n");
  }
  absl::StrAppend(&text, "\r\n");
  if (method != "HEAD") absl::StrAppend(&text, response.body);
  mg_write(connection, text.data(), text.size());
}

HttpResponse Refusal(const absl::Status& status) {
  HttpResponse response = {.code = absl::IsPermissionDenied(status) ? 403 : 401,
                           .body = absl::StrCat(status.message(), "\n")};
  if (response.code == 401) response.challenge = "Bearer";
  return response;
}

}  // namespace

HttpResponse HttpServer::Answer(mg_connection* connection) const {
  const mg_request_info* request = mg_get_request_info(connection);
  const absl::string_view method = request->request_method;
  if (method != "GET" && method != "HEAD") {
    return {.code = 405, .body = "only GET and HEAD are answered here\n"};
  }
  auto page = pages_.find(request->local_uri);
  if (page == pages_.end()) return {.code = 404, .body = "there is no such page\n"};
  if (!page->second.open && options_.authorize != nullptr) {
    const char* header = mg_get_header(connection, "Authorization");
    const absl::Status status = options_.authorize(header == nullptr ? "" : header);
    if (!status.ok()) return Refusal(status);
  }
  return page->second.answer();
}

int HttpServer::Handle(mg_connection* connection, void* self) {
  const HttpResponse response = static_cast<const HttpServer*>(self)->Answer(connection);
  Send(connection, mg_get_request_info(connection)->request_method, response);
  return response.code;
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, Pages pages) {
  auto server = std::unique_ptr<HttpServer>(new HttpServer(std::move(options), std::move(pages)));
  const TlsFiles* tls = server->options_.tls;
  const std::string listen = tls == nullptr ? server->options_.listen : "127.0.0.1:0";
  mg_callbacks callbacks = {};
  callbacks.log_message = LogMessage;
  const char* settings[] = {"listening_ports",
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
  server->context_ = mg_start(&callbacks, nullptr, settings);
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
  if (tls != nullptr) {
    ASSIGN_OR_RETURN(server->front_, TlsFront::Start(server->options_.listen, tls, port.port));
  }
  return server;
}

HttpServer::~HttpServer() {
  front_.reset();
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
