// Bytes that change on the disk: each damage is found by whoever reads them, nothing of it is
// served, and uploading the same bytes again heals it.
//   RADIOGRAPH_SEED=N      plays a run again
//   RADIOGRAPH_DAMAGES=N   damages in all
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace radiograph::testing {
namespace {

constexpr int kDamagesDefault = 16;
constexpr int64_t kSizes[] = {1, 100, 65'536, kBlobPartBytes, kBlobPartBytes + 1,
                              2 * kBlobPartBytes + 12'345};

int FromEnvironment(const char* name, int otherwise) {
  const char* text = getenv(name);
  int value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

class Damage : public ::testing::Test {
 protected:
  Damage()
      : folder_(*TemporaryFolder::Make()),
        seed_(FromEnvironment("RADIOGRAPH_SEED", static_cast<int>(std::random_device()() >> 1))),
        random_(seed_) {
    std::cout << "RADIOGRAPH_SEED=" << seed_ << "\n";
    auto store = Store::Open({.folder = folder_.path(), .on_damaged = [this] { ++counted_; }},
                             &clock_, &disk_);
    EXPECT_OK(store);
    store_ = *std::move(store);
  }
  int64_t Below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  std::string RandomBytes(int64_t size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }
  // Changes the file so that it differs from `bytes`; says from where on. Returns the new content.
  std::string Hurt(const std::string& bytes) {
    const int64_t size = static_cast<int64_t>(bytes.size());
    std::string hurt = bytes;
    const int64_t at = Below(size);
    switch (Below(4)) {
      case 0:  // one bit
        hurt[at] = static_cast<char>(hurt[at] ^ (1 << Below(8)));
        return hurt;
      case 1:  // cut
        return hurt.substr(0, at);
      case 2:  // a page of zeros, as a file system leaves it after a crash
        for (int64_t i = at; i < std::min(size, at + 4096); ++i) hurt[i] = '\0';
        if (hurt == bytes) hurt[at] = '\1';
        return hurt;
      default:  // other bytes at the end
        hurt.back() = static_cast<char>(hurt.back() + 1);
        return hurt;
    }
  }
  // Reads a range; whatever is handed out must be the bytes that were stored. True when it passed.
  bool Read(const std::string& bytes, int64_t offset, int64_t limit) {
    int64_t at = offset;
    const absl::Status status = store_->blobs->Read(
        kDefaultTenant, Sha256Hex(bytes), offset, limit, [&](absl::string_view piece) {
          EXPECT_EQ(piece, absl::string_view(bytes).substr(at, piece.size())) << "served: " << at;
          at += static_cast<int64_t>(piece.size());
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok() || absl::IsDataLoss(status)) << status;
    return status.ok();
  }

  const TemporaryFolder folder_;
  const int seed_;
  std::mt19937_64 random_;
  FakeClock clock_;
  Disk disk_;
  int counted_ = 0;
  std::unique_ptr<Store> store_;
};

TEST_F(Damage, IsFoundByWhoeverReadsNeverServedAndHealedByAnUpload) {
  const int damages = FromEnvironment("RADIOGRAPH_DAMAGES", kDamagesDefault);
  BlobStore& blobs = *store_->blobs;
  for (int i = 0; i < damages; ++i) {
    const int64_t size = kSizes[Below(std::size(kSizes))];
    SCOPED_TRACE(absl::StrCat("damage ", i, ", blob of ", size, " bytes"));
    const std::string bytes = RandomBytes(size), sha256 = Sha256Hex(bytes);
    ASSERT_OK(blobs.PutBytes(kDefaultTenant, bytes));
    ASSERT_OK_AND_ASSIGN(const std::string path, blobs.Path(sha256));
    const std::string hurt = Hurt(bytes);
    ASSERT_NE(hurt, bytes);
    const int64_t first =
        std::mismatch(hurt.begin(), hurt.end(), bytes.begin()).first - hurt.begin();
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    ASSERT_OK(WriteFile(path, hurt));
    const int counted_before = counted_;
    switch (Below(4)) {
      case 0:
        EXPECT_FALSE(Read(bytes, 0, 0));
        break;
      case 1:  // a range that holds the first changed byte
        EXPECT_FALSE(Read(bytes, first - Below(first + 1), 0));
        break;
      case 2:  // that byte alone, as a header is read
        EXPECT_FALSE(Read(bytes, first, 1));
        break;
      default:  // a job's input, handed to compute as the file itself
        EXPECT_THAT(blobs.Path(sha256), StatusIs(absl::StatusCode::kDataLoss,
                                                 ::testing::HasSubstr("uploading the same bytes")));
    }
    Read(bytes, Below(size), 1 + Below(size));  // anywhere: right bytes or none
    EXPECT_EQ(counted_, counted_before + 1);
    EXPECT_THAT(blobs.Path(sha256),
                StatusIs(absl::StatusCode::kDataLoss, ::testing::HasSubstr(sha256)));
    v1::Artifact result;
    v1::ArtifactFile& file = *result.add_files();
    file.mutable_blob()->set_sha256(sha256);
    file.mutable_blob()->set_size(size);
    EXPECT_FALSE(*blobs.HoldsAll(result.files())) << "no answer from the cache";
    EXPECT_THAT(*blobs.FindMissing(kDefaultTenant, {sha256}), ::testing::ElementsAre(sha256));
    ASSERT_OK(blobs.PutBytes(kDefaultTenant, bytes));
    EXPECT_TRUE(Read(bytes, 0, 0));
    EXPECT_OK(blobs.Path(sha256));
    EXPECT_THAT(*blobs.FindMissing(kDefaultTenant, {sha256}), ::testing::IsEmpty());
  }
}

}  // namespace
}  // namespace radiograph::testing
