#include "core/base/address.h"

#include <arpa/inet.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace radiograph {

bool IsLoopback(absl::string_view address) {
  absl::string_view text = address.substr(0, address.rfind(':'));
  if (absl::ConsumePrefix(&text, "[")) absl::ConsumeSuffix(&text, "]");
  const std::string host(text);
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return host == "localhost";
}

absl::Status CheckTokenIsSafe(absl::string_view address, bool tls, bool insecure) {
  if (tls || insecure || IsLoopback(address) || absl::StartsWith(address, "unix:")) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat("no token is sent to ", address,
                                                  " without TLS: others on the way could read it"));
}

}  // namespace radiograph
