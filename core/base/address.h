// Network addresses as text.
#ifndef RADIOGRAPH_CORE_BASE_ADDRESS_H_
#define RADIOGRAPH_CORE_BASE_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace radiograph {

inline constexpr int kGrpcPort = 7433, kHttpPort = 7434;  // unless told otherwise

// 127.x.x.x, localhost and ::1, as HOST or HOST:PORT with [::1] in brackets: what no other machine
// can reach. No name is looked up.
bool IsLoopback(absl::string_view address);

// The server's address, as people write it, in the form that gRPC and IsLoopback read: HOST:PORT,
// with an IPv6 address in brackets, unix:PATH or unix-abstract:NAME. Blanks at the ends and gRPC's
// own prefix dns: are dropped; without a port it is kGrpcPort. INVALID_ARGUMENT, beginning with
// `source` (the flag or variable), for all else: a URL, a port that is none of 1..65535, an IPv6
// address whose last group may be meant as a port. What stands before an `@` may be a password, and
// behind a `?` a token: neither is told.
absl::StatusOr<std::string> ParseEndpoint(absl::string_view source, absl::string_view text);

// An address to listen on: HOST:PORT, where port 0 is a free one. INVALID_ARGUMENT as above.
absl::Status CheckListenAddress(absl::string_view source, absl::string_view text);

// Why whoever answered there is not the server that was meant, from gRPC's message on a connection
// that came to nothing; "" when the message does not tell. Another attempt would not help then.
absl::string_view WhyNoGrpc(absl::string_view message);

// PERMISSION_DENIED when a token without TLS would cross a network, where others may read it. A
// unix:PATH is no network.
absl::Status CheckTokenIsSafe(absl::string_view address, bool tls, bool insecure);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_ADDRESS_H_
