#include "core/base/digest.h"

#include <gtest/gtest.h>

#include "core/base/file.h"

namespace radiograph {
namespace {

constexpr char kAbc[] =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";  // FIPS 180-4

TEST(Sha256, KnownAnswer) {
  EXPECT_EQ(Sha256Hex("abc"), kAbc);
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, PiecesGiveTheSameAsTheWhole) {
  Sha256 sha;
  sha.Update("a");
  sha.Update("");
  sha.Update("bc");
  EXPECT_EQ(sha.Finish(), kAbc);
}

TEST(Sha256, OfAFile) {
  auto folder = TemporaryFolder::Make();
  ASSERT_TRUE(folder.ok()) << folder.status();
  std::string path = folder->path() + "/abc";
  ASSERT_TRUE(WriteFile(path, "abc").ok());
  auto digest = Sha256OfFile(path);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(digest->sha256, kAbc);
  EXPECT_EQ(digest->size, 3);
}

TEST(Sha256, OnlyLowerCaseHexOf64DigitsIsADigest) {
  EXPECT_TRUE(IsSha256(kAbc));
  EXPECT_FALSE(IsSha256("abc"));
  EXPECT_FALSE(IsSha256(std::string(63, 'a') + "G"));
  EXPECT_FALSE(IsSha256(std::string(63, 'a') + "/"));
  EXPECT_FALSE(IsSha256(std::string(64, 'A')));
}

}  // namespace
}  // namespace radiograph
