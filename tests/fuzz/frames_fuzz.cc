// What a compute process says to its agent, which outlives it, and the reverse.
#include "core/process/frames.h"
#include "tests/fuzz/fuzz.h"

namespace radiograph {

void Fuzz(absl::string_view bytes) {
  if (absl::StatusOr<FrameFromCompute> frame = ParseFrameFromCompute(bytes); frame.ok()) {
    FUZZ_CHECK(ParseFrameFromCompute(ToLine(*frame)).ok());
  } else {
    CheckRefusal(frame.status());
  }
  if (absl::StatusOr<FrameToCompute> frame = ParseFrameToCompute(bytes); frame.ok()) {
    FUZZ_CHECK(ParseFrameToCompute(ToLine(*frame)).ok());
  } else {
    CheckRefusal(frame.status());
  }
}

}  // namespace radiograph
