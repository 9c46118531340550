#include "core/base/host_memory.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

// The process is this one; only its files are made up.
class HostMemoryTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, const std::string& text) {
    const std::string whole = folder_.path() + path;
    ASSERT_OK(MakeFolders(whole.substr(0, whole.rfind('/'))));
    ASSERT_OK(WriteFile(whole, text));
  }
  void PutGroups(const std::string& text) {
    Put(absl::StrCat("/proc/", getpid(), "/cgroup"), text);
  }
  HostMemory Get() { return HostMemoryOf(getpid(), folder_.path()); }
  std::string kills_file() { return Get().kills_file.substr(folder_.path().size()); }

  TemporaryFolder folder_ = TemporaryFolder::Make().value();
};

TEST_F(HostMemoryTest, LeastLimitOfTheGroupsAboveHolds) {
  PutGroups("0::/slice/unit\n");
  Put("/sys/fs/cgroup/slice/memory.max", "5000000\n");
  Put("/sys/fs/cgroup/slice/unit/memory.max", "max\n");
  EXPECT_EQ(Get().limit_bytes, 5000000);
}

TEST_F(HostMemoryTest, WithoutAGroupItIsTheMachines) {
  EXPECT_EQ(Get().limit_bytes, int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE));
  EXPECT_EQ(kills_file(), "/proc/vmstat");
}

TEST_F(HostMemoryTest, NearestGroupThatCountsKillsIsAsked) {
  PutGroups("0::/slice/unit\n");
  Put("/sys/fs/cgroup/slice/memory.events", "low 0\noom 4\noom_kill 3\n");
  EXPECT_EQ(kills_file(), "/sys/fs/cgroup/slice/memory.events");
  EXPECT_EQ(OutOfMemoryKills(Get().kills_file), 3);
}

TEST_F(HostMemoryTest, ContainerThatSeesOnlyItsOwnPartIsServedByWhatIsMounted) {
  PutGroups("0::/docker/0123\n");
  Put("/sys/fs/cgroup/memory.max", "7000000\n");
  Put("/sys/fs/cgroup/memory.events", "oom_kill 1\n");
  EXPECT_EQ(Get().limit_bytes, 7000000);
  EXPECT_EQ(OutOfMemoryKills(Get().kills_file), 1);
}

TEST_F(HostMemoryTest, VersionOneHasOtherFiles) {
  PutGroups("9:name=systemd:/\n4:memory:/jobs\n0::/\n");
  Put("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "6000000\n");
  Put("/sys/fs/cgroup/memory/jobs/memory.oom_control", "oom_kill_disable 0\noom_kill 2\n");
  EXPECT_EQ(Get().limit_bytes, 6000000);
  EXPECT_EQ(OutOfMemoryKills(Get().kills_file), 2);
}

TEST_F(HostMemoryTest, UsedIsWhatTheProcessHoldsNow) {
  Put(absl::StrCat("/proc/", getpid(), "/status"), "VmSize:\t 900 kB\nVmRSS:\t  300 kB\n");
  EXPECT_EQ(Get().used_bytes, 300 * 1024);
  EXPECT_GT(HostMemoryOf(getpid()).used_bytes, 1 << 20);
}

}  // namespace
}  // namespace radiograph
