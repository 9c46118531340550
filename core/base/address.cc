#include "core/base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/names.h"

namespace radiograph {
namespace {

constexpr size_t kHostBytesMax = 253;    // of DNS
constexpr size_t kToldBytesMax = 200;    // of a wrong address
constexpr size_t kSocketBytesMax = 107;  // of a path or name in sockaddr_un

// What gRPC 1.51 says of a peer that is none of its own, and what that means.
struct Misfit {
  absl::string_view words, meaning;
};
constexpr absl::string_view kIsHttp = "this is the port for HTTP; gRPC is usually 7433";
constexpr Misfit kMisfits[] = {
    {"Failed parsing HTTP/2", kIsHttp},
    {"http1.x server", kIsHttp},
    {"missing selected ALPN property", kIsHttp},
    {"wrong version number", "there is no TLS at this port"},
    {"certificate verify failed", "its certificate is not of the authority that was named"},
    {"is not in peer certificate", "its certificate is for another name than this address"}};

struct Parts {
  std::string host = "";   // without brackets; empty: this is no address
  std::string port = "";   // empty: none was given
  bool ambiguous = false;  // an IPv6 address whose end may be meant as the port
};

bool IsV6(absl::string_view host) {
  in6_addr ignored;
  const std::string address(host.substr(0, host.find('%')));  // [fe80::1%eth0]
  return inet_pton(AF_INET6, address.c_str(), &ignored) == 1;
}

bool IsHost(absl::string_view host) {
  if (IsV6(host)) {
    const absl::string_view zone = host.substr(std::min(host.find('%'), host.size()));
    return std::all_of(zone.begin(), zone.end(), [](char c) {
      return absl::ascii_isalnum(c) || absl::StrContains("%._-", c);
    });
  }
  return !host.empty() && host.size() <= kHostBytesMax &&
         std::all_of(host.begin(), host.end(),
                     [](char c) { return absl::ascii_isalnum(c) || absl::StrContains("._-", c); });
}

// At the brackets, else at the only colon.
Parts Split(absl::string_view text) {
  if (absl::StartsWith(text, "[")) {
    const size_t end = text.find(']');
    if (end == text.npos) return {};
    const absl::string_view behind = text.substr(end + 1);
    const absl::string_view host = text.substr(1, end - 1);
    if (!IsV6(host) || behind == ":" || !(behind.empty() || behind[0] == ':')) return {};
    return {std::string(host), std::string(behind.empty() ? "" : behind.substr(1))};
  }
  const size_t colon = text.rfind(':');
  if (IsV6(text)) {
    const absl::string_view last = text.substr(colon + 1);
    const bool ambiguous = last == absl::StrCat(kGrpcPort) || last == absl::StrCat(kHttpPort);
    return {std::string(text), "", ambiguous};
  }
  if (colon == text.npos) return {.host = std::string(text)};
  if (colon + 1 == text.size()) return {};
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

// Without what may be a secret: `user:password@` and `?query`.
std::string Told(absl::string_view text) {
  const size_t at = text.rfind('@');
  if (at != text.npos && text.find_first_of("?#") < at) return "...";
  const absl::string_view open = at == text.npos ? text : text.substr(at + 1);
  const size_t query = open.find_first_of("?#");
  return absl::StrCat(at == text.npos ? "" : "...@", Shown(open.substr(0, query), kToldBytesMax),
                      query == open.npos ? "" : "?...");
}

absl::Status Wrong(absl::string_view source, absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(source, " is '", Told(text), "'; ", why));
}

bool IsPort(absl::string_view text, int min) {
  int port = -1;
  return std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, &port) && port >= min && port <= 65535;
}

std::string Joined(absl::string_view host, absl::string_view port) {
  return IsV6(host) ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

// "HOST:PORT is meant, without http://: localhost:7433", with as much as is known.
std::string MeantByUrl(absl::string_view text, size_t scheme_end) {
  const absl::string_view scheme = text.substr(0, scheme_end);
  const bool known = scheme.size() < 16 && std::all_of(scheme.begin(), scheme.end(), [](char c) {
                       return absl::ascii_isalnum(static_cast<unsigned char>(c));
                     });
  std::string meant =
      absl::StrCat("HOST:PORT is meant, without ", known ? scheme : "a scheme", known ? "://" : "");
  text.remove_prefix(scheme_end + 3);
  if (absl::StrContains(text, '@')) return meant;
  const Parts parts = Split(text.substr(0, text.find_first_of("/?#")));
  if (!IsHost(parts.host) || !(parts.port.empty() || IsPort(parts.port, 1))) return meant;
  return absl::StrCat(
      meant, ": ", Joined(parts.host, parts.port.empty() ? absl::StrCat(kGrpcPort) : parts.port));
}

absl::Status CheckIsNoUrl(absl::string_view source, absl::string_view text) {
  const size_t scheme_end = text.find("://");
  if (scheme_end != text.npos) return Wrong(source, text, MeantByUrl(text, scheme_end));
  if (absl::StrContains(text, '@')) {
    return Wrong(source, text, "HOST:PORT is meant, without a user or a password before it");
  }
  if (absl::StrContains(text, '/')) {
    return Wrong(source, text, "HOST:PORT is meant, without a path behind it");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ParseSocket(absl::string_view source, absl::string_view text) {
  absl::string_view path = text.substr(text.find(':') + 1);
  // As a URL it has an empty host before its path: unix:///run/socket.
  const bool has_host = absl::ConsumePrefix(&path, "//") && !absl::StartsWith(path, "/");
  const bool printable = std::none_of(path.begin(), path.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
  if (has_host || path.empty() || path.size() > kSocketBytesMax || !printable) {
    return Wrong(source, text,
                 absl::StrCat("unix:PATH with a path of 1..", kSocketBytesMax, " bytes is meant"));
  }
  return std::string(text);
}

}  // namespace

bool IsLoopback(absl::string_view address) {
  absl::string_view text = address.substr(0, address.rfind(':'));
  if (absl::ConsumePrefix(&text, "[")) absl::ConsumeSuffix(&text, "]");
  const std::string host(text);
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return absl::EqualsIgnoreCase(host, "localhost");
}

absl::StatusOr<std::string> ParseEndpoint(absl::string_view source, absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (absl::StartsWith(text, "unix:") || absl::StartsWith(text, "unix-abstract:")) {
    return ParseSocket(source, text);
  }
  if (absl::ConsumePrefix(&text, "dns:")) absl::ConsumePrefix(&text, "///");
  if (absl::Status status = CheckIsNoUrl(source, text); !status.ok()) return status;
  const Parts parts = Split(text);
  if (parts.ambiguous) {
    return Wrong(
        source, text,
        "an IPv6 address with a port is written [ADDRESS]:PORT, and [ADDRESS] without one");
  }
  if (!IsHost(parts.host)) {
    return Wrong(source, text, "HOST:PORT, [IPV6]:PORT or unix:PATH is meant");
  }
  if (parts.port.empty()) return Joined(parts.host, absl::StrCat(kGrpcPort));
  if (!IsPort(parts.port, 1)) return Wrong(source, text, "a port is 1..65535");
  return Joined(parts.host, parts.port);
}

absl::Status CheckListenAddress(absl::string_view source, absl::string_view text) {
  if (absl::Status status = CheckIsNoUrl(source, text); !status.ok()) return status;
  const Parts parts = Split(text);
  if (IsHost(parts.host) && !parts.port.empty() && IsPort(parts.port, 0)) return absl::OkStatus();
  return Wrong(source, text, "HOST:PORT with a port of 0..65535 is meant");
}

absl::string_view WhyNoGrpc(absl::string_view message) {
  for (const Misfit& misfit : kMisfits) {
    if (absl::StrContains(message, misfit.words)) return misfit.meaning;
  }
  return "";
}

absl::Status CheckTokenIsSafe(absl::string_view address, bool tls, bool insecure) {
  if (tls || insecure || IsLoopback(address) || absl::StartsWith(address, "unix:") ||
      absl::StartsWith(address, "unix-abstract:")) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(absl::StrCat("no token is sent to ", address,
                                                  " without TLS: others on the way could read it"));
}

}  // namespace radiograph
