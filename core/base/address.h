// Network addresses as text.
#ifndef RADIOGRAPH_CORE_BASE_ADDRESS_H_
#define RADIOGRAPH_CORE_BASE_ADDRESS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace radiograph {

// 127.x.x.x, localhost and ::1, as HOST or HOST:PORT with [::1] in brackets: what no other machine
// can reach. No name is looked up.
bool IsLoopback(absl::string_view address);

// PERMISSION_DENIED when a token without TLS would cross a network, where others may read it. A
// unix:PATH is no network.
absl::Status CheckTokenIsSafe(absl::string_view address, bool tls, bool insecure);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_BASE_ADDRESS_H_
