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

// A line for people: a few foreign names of 1,024 bytes at most, never a whole file.
inline void CheckMessage(const absl::Status& status) {
  FUZZ_CHECK(!status.message().empty() && status.message().size() <= 16384);
  FUZZ_CHECK(IsUtf8(status.message()));
}

// What every refusal of foreign bytes must be: the input's fault.
inline void CheckRefusal(const absl::Status& status) {
  FUZZ_CHECK(absl::IsInvalidArgument(status));
  CheckMessage(status);
}

}  // namespace radiograph

#endif  // RADIOGRAPH_TESTS_FUZZ_FUZZ_H_
