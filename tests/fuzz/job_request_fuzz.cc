// job.json, as a compute process reads it.
#include "core/process/job_folder.h"
#include "tests/fuzz/fuzz.h"

namespace radiograph {

void Fuzz(absl::string_view bytes) {
  absl::StatusOr<JobRequest> request = JobRequest::Parse(bytes);
  if (!request.ok()) return CheckRefusal(request.status());
  std::string text = request->ToJsonText();
  absl::StatusOr<JobRequest> again = JobRequest::Parse(text);
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(again->ToJsonText() == text);
}

}  // namespace radiograph
