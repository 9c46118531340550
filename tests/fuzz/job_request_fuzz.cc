// job.json, as a compute process reads it.
#include "core/process/job_folder.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace radiograph;
  absl::StatusOr<JobRequest> request = JobRequest::Parse(Text(data, size));
  if (!request.ok()) return CheckRefusal(request.status()), 0;
  std::string text = request->ToJsonText();
  absl::StatusOr<JobRequest> again = JobRequest::Parse(text);
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(again->ToJsonText() == text);
  return 0;
}
