#include "server/worker/devices.h"

#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Devices, GpusAreFoundInTheDriversFolder) {
  TemporaryFolder folder = TemporaryFolder::Make().value();
  for (const char* gpu : {"b", "a"}) {
    ASSERT_OK(MakeFolders(folder.path() + "/" + gpu));
    ASSERT_OK(WriteFile(
        folder.path() + "/" + gpu + "/information",
        std::string("Model: \t\t NVIDIA H200\nGPU UUID: \t GPU-") + gpu + "\nBus Type: PCIe\n"));
  }
  EXPECT_THAT(FindGpus(folder.path()), ElementsAre("GPU-a", "GPU-b"));
  EXPECT_THAT(FindGpus(folder.path() + "/nowhere"), IsEmpty());
}

TEST(Devices, WordsBecomeDevices) {
  EXPECT_THAT(ResolveDevices("auto", {}).value(), ElementsAre("cpu"));
  EXPECT_THAT(ResolveDevices("auto", {"GPU-a", "GPU-b"}).value(), ElementsAre("GPU-a", "GPU-b"));
  EXPECT_THAT(ResolveDevices("none", {"GPU-a"}).value(), IsEmpty());
  EXPECT_THAT(ResolveDevices("GPU-b,cpu", {"GPU-a", "GPU-b"}).value(), ElementsAre("GPU-b", "cpu"));
}

TEST(Devices, WrongWordsAreNamed) {
  EXPECT_THAT(ResolveDevices("cuda", {"GPU-a"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("\"cuda\" is not here; auto, none, cpu, GPU-a")));
  EXPECT_THAT(ResolveDevices("cpu,cpu", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("named twice")));
  EXPECT_THAT(ResolveDevices("", {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"\"")));
}

}  // namespace
}  // namespace radiograph
