#include "core/base/digest.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
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

TEST(Sha256, GoesOnFromAChainingValue) {
  std::string bytes(5 * Sha256::kBlockBytes + 7, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i);
  for (int64_t cut : {int64_t{0}, Sha256::kBlockBytes, 5 * Sha256::kBlockBytes}) {
    SCOPED_TRACE(cut);
    Sha256 head;
    head.Update(absl::string_view(bytes).substr(0, cut));
    Sha256 tail(head.ChainingValue(), cut);
    tail.Update(absl::string_view(bytes).substr(cut));
    EXPECT_EQ(tail.Finish(), Sha256Hex(bytes));
  }
}

// H(0) of FIPS 180-4, section 5.3.3; the message "abc" with its padding is one block, whose
// chaining value is the digest.
TEST(Sha256, ChainingValuesAreThoseOfTheStandard) {
  EXPECT_EQ(absl::BytesToHexString(Sha256().ChainingValue()),
            "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19");
  Sha256 sha;
  sha.Update(absl::StrCat("abc\x80", std::string(59, '\0'), "\x18"));
  EXPECT_EQ(absl::BytesToHexString(sha.ChainingValue()), kAbc);
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
