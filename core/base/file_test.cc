#include "core/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_ = *TemporaryFolder::Make();
  std::string path_ = folder_.path() + "/file";
};

TEST_F(FileTest, WrittenDurablyIsReadBack) {
  ASSERT_TRUE(WriteFileDurably(path_, "one").ok());
  ASSERT_TRUE(WriteFileDurably(path_, "two").ok());
  EXPECT_EQ(*ReadFile(path_, 100), "two");
}

TEST_F(FileTest, MissingFileIsNotFoundAndNamed) {
  absl::Status status = ReadFile(path_, 100).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
}

TEST_F(FileTest, LongerThanTheLimitIsRefused) {
  ASSERT_TRUE(WriteFile(path_, "12345").ok());
  EXPECT_EQ(*ReadFile(path_, 5), "12345");
  EXPECT_EQ(ReadFile(path_, 4).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, ReadAtPastTheEndIsDataLoss) {
  ASSERT_TRUE(WriteFile(path_, "12345").ok());
  auto fd = OpenFile(path_, O_RDONLY);
  ASSERT_TRUE(fd.ok());
  char bytes[3];
  EXPECT_TRUE(ReadAt(fd->get(), 2, absl::MakeSpan(bytes), path_).ok());
  EXPECT_EQ(absl::string_view(bytes, 3), "345");
  EXPECT_EQ(ReadAt(fd->get(), 3, absl::MakeSpan(bytes), path_).code(), absl::StatusCode::kDataLoss);
}

TEST_F(FileTest, APathThatIsNotUtf8IsShownAsEscapes) {
  const std::string path = folder_.path() + "/r\xe9sultats";
  EXPECT_THAT(std::string(ReadFile(path, 10).status().message()),
              ::testing::HasSubstr("/r\\xe9sultats: No such file"));
  ASSERT_TRUE(WriteFile(path, "longer").ok());
  EXPECT_THAT(std::string(ReadFile(path, 2).status().message()),
              ::testing::HasSubstr("/r\\xe9sultats holds more"));
  EXPECT_THAT(std::string(OpenFile("/\xd1\x8f/x", 0).status().message()),
              ::testing::HasSubstr("/\xd1\x8f/x: No such file"))
      << "UTF-8 stays as it is";
}

TEST_F(FileTest, FullDiskIsResourceExhausted) {
  EXPECT_EQ(WriteFile("/dev/full", "x").code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(FileTest, MapsFilesAlsoEmptyOnes) {
  ASSERT_TRUE(WriteFile(path_, "bytes").ok());
  EXPECT_EQ(MappedFile::Open(path_)->bytes(), "bytes");
  ASSERT_TRUE(WriteFile(path_, "").ok());
  EXPECT_EQ(MappedFile::Open(path_)->bytes(), "");
}

TEST_F(FileTest, TemporaryFolderGoesWithItsContents) {
  std::string path;
  {
    TemporaryFolder inner = *TemporaryFolder::Make(folder_.path());
    path = inner.path();
    ASSERT_TRUE(WriteFile(path + "/x", "x").ok());
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(MakePrivateFolder, OnlyTheLastFolderThatItMakesIsPrivate) {
  ASSERT_OK_AND_ASSIGN(const TemporaryFolder folder, TemporaryFolder::Make());
  auto mode = [](const std::string& path) {
    struct stat info = {};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  };
  for (const std::string name : {"a/b", "c/d/", "e/./f//", "g"}) {
    const std::string path = folder.path() + "/" + name;
    ASSERT_OK(MakePrivateFolder(path));
    EXPECT_EQ(mode(path), 0700u) << path;
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
    ASSERT_OK(MakePrivateFolder(path));
    EXPECT_EQ(mode(path), 0755u) << "what was there stays as it is";
  }
  EXPECT_EQ(mode(folder.path() + "/a"), 0755u);
  ASSERT_OK(WriteFile(folder.path() + "/file", ""));
  EXPECT_FALSE(MakePrivateFolder(folder.path() + "/file").ok());
  EXPECT_FALSE(MakePrivateFolder(folder.path() + "/file/x").ok());
}

}  // namespace
}  // namespace radiograph
