#include "client/cli/staging_folder.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;

class StagingFolderTest : public ::testing::Test {
 protected:
  std::string Path(absl::string_view name) const { return absl::StrCat(folder_.path(), "/", name); }
  // The folder of a process that was killed.
  std::string MakeDead() {
    int told[2];
    EXPECT_EQ(pipe(told), 0);
    const pid_t child = fork();
    if (child == 0) {
      absl::StatusOr<StagingFolder> made = StagingFolder::Make(folder_.path());
      if (!made.ok() || !WriteFile(made->path() + "/model", "bytes").ok()) _exit(1);
      if (symlink(Path("kept").c_str(), (made->path() + "/link").c_str()) != 0) _exit(1);
      const std::string& path = made->path();
      _exit(write(told[1], path.data(), path.size()) > 0 ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    close(told[1]);
    char path[4096];
    const ssize_t size = read(told[0], path, sizeof(path));
    close(told[0]);
    return std::string(path, size > 0 ? size : 0);
  }

  TemporaryFolder folder_ = TemporaryFolder::Make().value();
};

TEST_F(StagingFolderTest, ADeadOnesIsSweptAndALivingOnesIsNot) {
  ASSERT_OK(MakeFolders(Path("kept")));
  ASSERT_OK(WriteFile(Path("kept/thesis"), "mine"));
  ASSERT_OK_AND_ASSIGN(StagingFolder alive, StagingFolder::Make(folder_.path()));
  const std::string dead = MakeDead(), other = MakeDead();
  EXPECT_FALSE(fs::exists(dead)) << "the second has swept the first";
  ASSERT_TRUE(fs::exists(other));
  EXPECT_TRUE(StagingFolder::Is(other));
  ASSERT_OK_AND_ASSIGN(StagingFolder next, StagingFolder::Make(folder_.path()));
  EXPECT_FALSE(fs::exists(other));
  EXPECT_TRUE(fs::exists(alive.path()));
  EXPECT_TRUE(fs::exists(Path("kept/thesis"))) << "a link is not followed";
  const std::string early = MakeDead();  // died before its lock had its name
  fs::rename(early + "/lock", early + "/lock.new");
  ASSERT_OK(StagingFolder::Make(folder_.path()));
  EXPECT_FALSE(fs::exists(early));
  ASSERT_OK(MakeFolders(Path("radiograph-early1")));  // died while it made the lock
  ASSERT_OK(WriteFile(Path("radiograph-early1/lock.new"), ""));
  ASSERT_OK(MakeFolders(Path("radiograph-early2")));  // as it cannot be with us
  ASSERT_OK(WriteFile(Path("radiograph-early2/lock.new"), ""));
  ASSERT_OK(WriteFile(Path("radiograph-early2/thesis"), "mine"));
  ASSERT_OK(StagingFolder::Make(folder_.path()));
  EXPECT_FALSE(fs::exists(Path("radiograph-early1")));
  EXPECT_TRUE(fs::exists(Path("radiograph-early2/thesis")));
}

TEST_F(StagingFolderTest, AFolderOfOthersStaysWhateverItsName) {
  const std::string dead = MakeDead();
  fs::copy(dead + "/lock", Path("lock"));
  ASSERT_OK(MakeFolders(Path("radiograph-empty1")));
  ASSERT_OK(MakeFolders(Path("radiograph-other1")));
  ASSERT_OK(WriteFile(Path("radiograph-other1/lock"), "4711\n"));
  ASSERT_OK(MakeFolders(Path("radiograph-linked")));
  ASSERT_EQ(symlink(Path("lock").c_str(), Path("radiograph-linked/lock").c_str()), 0);
  ASSERT_OK(MakeFolders(Path("radiograph-longer-name")));
  fs::copy(Path("lock"), Path("radiograph-longer-name/lock"));
  ASSERT_EQ(symlink(Path("radiograph-longer-name").c_str(), Path("radiograph-abcdef").c_str()), 0);
  ASSERT_OK(WriteFile(Path("radiograph-afile1"), "mine"));
  ASSERT_OK(StagingFolder::Make(folder_.path()));
  for (const char* name :
       {"radiograph-empty1", "radiograph-other1/lock", "radiograph-linked/lock",
        "radiograph-longer-name/lock", "radiograph-abcdef/lock", "radiograph-afile1"}) {
    EXPECT_TRUE(fs::exists(Path(name))) << name;
  }
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_FALSE(StagingFolder::Is(Path("radiograph-other1")));
  EXPECT_FALSE(StagingFolder::Is(Path("radiograph-abcdef")));
}

}  // namespace
}  // namespace radiograph::cli
