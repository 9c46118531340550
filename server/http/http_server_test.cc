#include "server/http/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::StatusIs;

// The whole answer to a request, headers and all.
std::string Ask(const HttpServer& server, const std::string& method, const std::string& path,
                const std::string& headers = "") {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(server.address().substr(server.address().rfind(':') + 1), &port));
  address.sin_port = htons(static_cast<uint16_t>(port));
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_OK(
      WriteAll(fd.get(),
               absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: localhost\r\n", headers, "\r\n"),
               "socket"));
  std::string answer;
  char piece[1024];
  while (true) {
    auto got = ReadSome(fd.get(), absl::MakeSpan(piece), "socket");
    EXPECT_OK(got);
    if (!got.ok() || *got == 0) return answer;
    answer.append(piece, *got);
  }
}

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    auto server = HttpServer::Start(
        {.listen = "127.0.0.1:0",
         .authorize =
             [this](absl::string_view authorization) {
               authorization_ = std::string(authorization);
               return allowed_;
             }},
        {{"/", {[] { return HttpResponse{.type = "text/html", .body = "index"}; }}},
         {"/down", {[] { return HttpResponse{.code = 503, .body = "not ready\n"}; }, true}}});
    EXPECT_OK(server);
    server_ = *std::move(server);
  }
  absl::Status allowed_;
  std::string authorization_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersItsPages) {
  EXPECT_THAT(Ask(*server_, "GET", "/"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Type: text/html\r\n"),
                    HasSubstr("Content-Length: 5\r\n"), EndsWith("\r\n\r\nindex")));
  EXPECT_THAT(Ask(*server_, "GET", "/down"),
              AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("\r\n\r\nnot ready\n")));
}

TEST_F(HttpServerTest, HeadHasNoBody) {
  EXPECT_THAT(Ask(*server_, "HEAD", "/"),
              AllOf(HasSubstr("Content-Length: 5\r\n"), EndsWith("\r\n\r\n")));
}

TEST_F(HttpServerTest, OtherPathsAndMethodsAreRefused) {
  EXPECT_THAT(Ask(*server_, "GET", "/etc/passwd"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask(*server_, "GET", "/../../etc/passwd"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask(*server_, "POST", "/"), StartsWith("HTTP/1.1 405 "));
}

TEST_F(HttpServerTest, PagesThatAreNotOpenAskWhoCalls) {
  EXPECT_THAT(Ask(*server_, "GET", "/", "Authorization: Bearer abc\r\n"), EndsWith("index"));
  EXPECT_EQ(authorization_, "Bearer abc");
  allowed_ = absl::UnauthenticatedError("this server wants a token");
  EXPECT_THAT(Ask(*server_, "GET", "/"),
              AllOf(StartsWith("HTTP/1.1 401 "), HasSubstr("WWW-Authenticate: Bearer\r\n"),
                    EndsWith("\r\n\r\nthis server wants a token\n")));
  EXPECT_EQ(authorization_, "");
  allowed_ = absl::PermissionDeniedError("no");
  EXPECT_THAT(Ask(*server_, "HEAD", "/"), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(Ask(*server_, "GET", "/down"), StartsWith("HTTP/1.1 503 ")) << "open to all";
}

TEST_F(HttpServerTest, APortThatIsTakenIsUnavailable) {
  EXPECT_THAT(HttpServer::Start({.listen = server_->address()}, {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(server_->address())));
}

}  // namespace
}  // namespace radiograph
