// For fuzz targets.
#ifndef RADIOGRAPH_TESTS_FUZZ_FUZZ_H_
#define RADIOGRAPH_TESTS_FUZZ_FUZZ_H_

#include <cstdio>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/json.h"

// Ends the process, so that the fuzzer keeps the input.
#define FUZZ_CHECK(condition)                                                        \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                  \
    }                                                                                \
  } while (false)

namespace radiograph {

// What a target does with one input; called by libFuzzer through main.cc.
void Fuzz(absl::string_view bytes);

// What every refusal of foreign bytes must be: the input's fault, in a message that a terminal, a
// log and a gRPC status can carry.
inline void CheckRefusal(const absl::Status& status) {
  FUZZ_CHECK(absl::IsInvalidArgument(status));
  FUZZ_CHECK(!status.message().empty() && status.message().size() <= 4096);
  FUZZ_CHECK(IsUtf8(status.message()));
}

}  // namespace radiograph

#endif  // RADIOGRAPH_TESTS_FUZZ_FUZZ_H_
