// A report of a foreign result.json: `radiograph report FOLDER` takes any. Whatever it says is
// shown as text.
#include <string>

#include "absl/strings/match.h"
#include "core/base/file.h"
#include "core/results/report.h"
#include "tests/fuzz/fuzz.h"

namespace radiograph {
namespace {

// A bundle without figures and arrays, but for its result.json.
std::string MakeFolder() {
  static const TemporaryFolder& folder = *new TemporaryFolder(*TemporaryFolder::Make());
  const absl::string_view no_arrays("\2\0\0\0\0\0\0\0{}", 10);
  FUZZ_CHECK(WriteFile(folder.path() + "/arrays.safetensors", no_arrays).ok());
  FUZZ_CHECK(WriteFile(folder.path() + "/run.json", "{}").ok());
  return folder.path();
}

}  // namespace

void Fuzz(absl::string_view bytes) {
  static const std::string& folder = *new std::string(MakeFolder());
  FUZZ_CHECK(WriteFile(folder + "/result.json", bytes).ok());
  absl::StatusOr<std::string> page = RenderReport(folder);
  if (!page.ok()) return CheckMessage(page.status());
  FUZZ_CHECK(IsUtf8(*page));
  FUZZ_CHECK(!absl::StrContains(*page, "<fuzz"));
}

}  // namespace radiograph
