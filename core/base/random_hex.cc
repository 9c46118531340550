#include "core/base/random_hex.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/escaping.h"

namespace radiograph {

std::string RandomHex(int bytes) {
  std::string raw(bytes, '\0');
  // Up to 256 bytes come whole; only a kernel without the call, or a signal before its start,
  // fails.
  while (getrandom(raw.data(), raw.size(), 0) != static_cast<ssize_t>(raw.size())) {
    if (errno == EINTR) continue;
    std::perror("getrandom");
    std::abort();
  }
  return absl::BytesToHexString(raw);
}

}  // namespace radiograph
