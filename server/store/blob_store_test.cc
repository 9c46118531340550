#include "server/store/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_disk.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::FakeClock;
using ::radiograph::testing::FakeDisk;
using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::Blob BlobOf(absl::string_view bytes) {
  v1::Blob blob;
  blob.set_sha256(Sha256Hex(bytes));
  blob.set_size(static_cast<int64_t>(bytes.size()));
  return blob;
}

// Not periodic in a part, so that swapped parts would show.
std::string SomeBytes(int64_t size) {
  std::string bytes(size, '\0');
  for (int64_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 13);
  return bytes;
}

class BlobStoreTest : public ::testing::Test {
 protected:
  BlobStoreTest() : folder_(*TemporaryFolder::Make()) { Reopen(); }
  void Reopen(Disk* disk = nullptr) {
    store_.reset();
    auto store =
        Store::Open({.folder = folder_.path(), .blob_bytes_max = 64 << 20, .uploads_max = 3},
                    &clock_, disk == nullptr ? &disk_ : disk);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }
  BlobStore& blobs() { return *store_->blobs; }

  absl::Status UploadAll(const std::string& upload_id, const std::string& bytes) {
    ASSIGN_OR_RETURN(Upload upload,
                     blobs().StartOrResume(kDefaultTenant, upload_id, BlobOf(bytes)));
    const int64_t at = upload.committed_size();
    RETURN_IF_ERROR(upload.Append(at, absl::string_view(bytes).substr(at)));
    return upload.Commit();
  }
  absl::Status UploadPrefix(const std::string& upload_id, const std::string& bytes, int64_t end) {
    ASSIGN_OR_RETURN(Upload upload,
                     blobs().StartOrResume(kDefaultTenant, upload_id, BlobOf(bytes)));
    return upload.Append(0, absl::string_view(bytes).substr(0, end));
  }
  bool Has(const std::string& bytes) {
    auto missing = blobs().FindMissing(kDefaultTenant, {Sha256Hex(bytes)});
    EXPECT_OK(missing);
    return missing->empty();
  }

  const TemporaryFolder folder_;
  FakeClock clock_;
  Disk disk_;
  std::unique_ptr<Store> store_;
};

TEST_F(BlobStoreTest, WhatWasUploadedCanBeRead) {
  for (int64_t size :
       {int64_t{0}, int64_t{1}, kBlobPartBytes - 1, kBlobPartBytes, 2 * kBlobPartBytes + 5}) {
    SCOPED_TRACE(size);
    const std::string bytes = SomeBytes(size);
    EXPECT_FALSE(Has(bytes));
    ASSERT_OK(UploadAll("u", bytes));
    EXPECT_TRUE(Has(bytes));
    ASSERT_OK_AND_ASSIGN(std::string read,
                         blobs().ReadBytes(kDefaultTenant, Sha256Hex(bytes), 0, 0));
    EXPECT_TRUE(read == bytes);
  }
}

TEST_F(BlobStoreTest, RangesAreReadInPieces) {
  const std::string bytes = SomeBytes(2 * kBlobPartBytes + 5);
  ASSERT_OK(UploadAll("u", bytes));
  struct Range {
    int64_t offset, limit;
  };
  for (auto [offset, limit] :
       {Range{0, 1}, Range{7, 100}, Range{kBlobPartBytes - 3, 6}, Range{kBlobPartBytes, 0},
        Range{5, 1 << 30}, Range{2 * kBlobPartBytes + 5, 0}}) {
    SCOPED_TRACE(absl::StrCat(offset, " ", limit));
    std::string read;
    ASSERT_OK(
        blobs().Read(kDefaultTenant, Sha256Hex(bytes), offset, limit, [&](absl::string_view piece) {
          EXPECT_LE(static_cast<int64_t>(piece.size()), kBlobPieceBytes);
          read.append(piece.data(), piece.size());
          return absl::OkStatus();
        }));
    EXPECT_TRUE(read == bytes.substr(offset, limit == 0 ? std::string::npos : limit));
  }
  EXPECT_THAT(blobs().ReadBytes(kDefaultTenant, Sha256Hex(bytes), 2 * kBlobPartBytes + 6, 1),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("offset 8388614")));
  EXPECT_THAT(blobs().ReadBytes(kDefaultTenant, Sha256Hex("no such"), 0, 0),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(Sha256Hex("no such"))));
}

TEST_F(BlobStoreTest, AChangedFileIsDataLossWhereItChanged) {
  const std::string bytes = SomeBytes(2 * kBlobPartBytes + 100);
  ASSERT_OK(UploadAll("u", bytes));
  ASSERT_OK_AND_ASSIGN(std::string path, blobs().Path(Sha256Hex(bytes)));
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  for (int64_t damaged : {0, 1, 2}) {
    SCOPED_TRACE(damaged);
    std::string changed = bytes;
    changed[damaged * kBlobPartBytes + 9] ^= 1;
    ASSERT_OK(WriteFile(path, changed));
    for (int64_t part : {0, 1, 2}) {
      auto read = blobs().ReadBytes(kDefaultTenant, Sha256Hex(bytes), part * kBlobPartBytes, 1);
      if (part != damaged) {
        EXPECT_OK(read);
        continue;
      }
      EXPECT_THAT(read, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
    }
  }
}

// As of a blob that came before there were chains.
TEST_F(BlobStoreTest, ARowWithoutItsChainGetsItFromTheBytes) {
  const std::string bytes = SomeBytes(2 * kBlobPartBytes + 1);
  ASSERT_OK(UploadAll("u", bytes));
  auto forget = [](Connection& connection) {
    return connection.Execute("UPDATE blob SET chain = x''");
  };
  auto chain_bytes = [&] {
    int64_t found = -1;
    EXPECT_OK(store_->database->Read([&](Connection& connection) -> absl::Status {
      Statement& chain = connection.Prepare("SELECT length(chain) FROM blob");
      RETURN_IF_ERROR(chain.Step().status());
      found = chain.Int(0);
      return absl::OkStatus();
    }));
    return found;
  };
  ASSERT_OK(store_->database->Write(forget));
  ASSERT_OK_AND_ASSIGN(std::string read,
                       blobs().ReadBytes(kDefaultTenant, Sha256Hex(bytes), kBlobPartBytes, 5));
  EXPECT_EQ(read, bytes.substr(kBlobPartBytes, 5));
  EXPECT_EQ(chain_bytes(), 64);
  ASSERT_OK_AND_ASSIGN(read, blobs().ReadBytes(kDefaultTenant, Sha256Hex(bytes), 0, 0));
  EXPECT_TRUE(read == bytes);

  ASSERT_OK(store_->database->Write(forget));
  ASSERT_OK_AND_ASSIGN(std::string path, blobs().Path(Sha256Hex(bytes)));
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  ASSERT_OK(WriteFile(path, std::string(bytes.size(), 'x')));
  EXPECT_THAT(blobs().ReadBytes(kDefaultTenant, Sha256Hex(bytes), 0, 1),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
  EXPECT_EQ(chain_bytes(), 0);
}

TEST_F(BlobStoreTest, AFileThatIsGoneOrCutIsMissingAndCanBeUploadedAgain) {
  const std::string bytes = SomeBytes(100);
  ASSERT_OK(UploadAll("u", bytes));
  ASSERT_OK_AND_ASSIGN(std::string path, blobs().Path(Sha256Hex(bytes)));
  std::filesystem::remove(path);
  EXPECT_FALSE(Has(bytes));
  EXPECT_THAT(blobs().ReadBytes(kDefaultTenant, Sha256Hex(bytes), 0, 0),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("lost its file")));
  EXPECT_THAT(blobs().Path(Sha256Hex(bytes)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("lost its file")));
  ASSERT_OK(UploadAll("u", bytes));
  EXPECT_TRUE(Has(bytes));
}

TEST_F(BlobStoreTest, BlobsAreReadOnlyFiles) {
  ASSERT_OK(UploadAll("u", "abc"));
  ASSERT_OK_AND_ASSIGN(std::string path, blobs().Path(Sha256Hex("abc")));
  struct stat file;
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0444u);
}

TEST_F(BlobStoreTest, AnUploadResumesWhereItBrokeOff) {
  const std::string bytes = SomeBytes(kBlobPartBytes + 1000);
  const int64_t size = static_cast<int64_t>(bytes.size());
  for (bool restart : {false, true}) {
    for (int64_t broke_off : {int64_t{0}, int64_t{1}, kBlobPartBytes + 1, size}) {
      SCOPED_TRACE(absl::StrCat(restart ? "after a restart, " : "", "at ", broke_off));
      const std::string name = absl::StrCat("u", restart, "-", broke_off);
      std::string unique = absl::StrCat(name, bytes).substr(0, size);
      ASSERT_OK(UploadPrefix(name, unique, broke_off));
      if (restart) Reopen();
      ASSERT_OK_AND_ASSIGN(auto status, blobs().QueryStatus(kDefaultTenant, name, BlobOf(unique)));
      EXPECT_EQ(status.committed_size(), broke_off);
      EXPECT_FALSE(status.complete());
      EXPECT_FALSE(Has(unique));
      ASSERT_OK(UploadAll(name, unique));
      ASSERT_OK_AND_ASSIGN(status, blobs().QueryStatus(kDefaultTenant, name, BlobOf(unique)));
      EXPECT_EQ(status.committed_size(), size);
      EXPECT_TRUE(status.complete());
      ASSERT_OK_AND_ASSIGN(std::string read,
                           blobs().ReadBytes(kDefaultTenant, Sha256Hex(unique), 0, 0));
      EXPECT_TRUE(read == unique);
    }
  }
}

TEST_F(BlobStoreTest, ABlobThatIsThereNeedsNoUpload) {
  ASSERT_OK(UploadAll("u", "abc"));
  ASSERT_OK_AND_ASSIGN(Upload upload,
                       blobs().StartOrResume(kDefaultTenant, "other", BlobOf("abc")));
  EXPECT_TRUE(upload.complete());
  EXPECT_EQ(upload.committed_size(), 3);
  EXPECT_OK(upload.Commit());
}

TEST_F(BlobStoreTest, OtherBytesThanPromisedAreDropped) {
  {
    ASSERT_OK_AND_ASSIGN(Upload upload, blobs().StartOrResume(kDefaultTenant, "u", BlobOf("abc")));
    ASSERT_OK(upload.Append(0, "abd"));
    EXPECT_THAT(upload.Commit(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(Sha256Hex("abd"))));
  }
  EXPECT_FALSE(Has("abc"));
  EXPECT_FALSE(Has("abd"));
  EXPECT_OK(UploadAll("u", "abc"));
}

TEST_F(BlobStoreTest, SizesAndOffsetsAreChecked) {
  ASSERT_OK_AND_ASSIGN(Upload upload, blobs().StartOrResume(kDefaultTenant, "u", BlobOf("abcdef")));
  EXPECT_THAT(upload.Append(2, "c"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("goes on at 0")));
  ASSERT_OK(upload.Append(0, "abc"));
  EXPECT_THAT(upload.Append(0, "abc"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("goes on at 3")));
  EXPECT_THAT(upload.Append(3, "defg"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("6 bytes")));
  EXPECT_THAT(upload.Commit(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("3 have come")));
  ASSERT_OK(upload.Append(3, "def"));
  EXPECT_OK(upload.Commit());
}

TEST_F(BlobStoreTest, WrongRequestsAreRefused) {
  v1::Blob blob = BlobOf("abc");
  blob.set_size((64 << 20) + 1);
  EXPECT_THAT(blobs().StartOrResume(kDefaultTenant, "u", blob),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0..67108864")));
  blob.set_size(-1);
  EXPECT_THAT(blobs().StartOrResume(kDefaultTenant, "u", blob),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("-1")));
  blob.set_sha256("../../etc/passwd");
  EXPECT_THAT(blobs().StartOrResume(kDefaultTenant, "u", blob),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("SHA-256")));
  EXPECT_THAT(blobs().FindMissing(kDefaultTenant, {"ABC"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'ABC'")));
  for (const char* id : {"", "a/b", "..", "a b"}) {
    EXPECT_THAT(blobs().StartOrResume(kDefaultTenant, id, BlobOf("abc")),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("upload_id")));
  }
}

TEST_F(BlobStoreTest, ASecondWriterIsRefused) {
  ASSERT_OK_AND_ASSIGN(Upload first, blobs().StartOrResume(kDefaultTenant, "u", BlobOf("abc")));
  EXPECT_THAT(blobs().StartOrResume(kDefaultTenant, "u", BlobOf("abc")),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("writer")));
  ASSERT_OK_AND_ASSIGN(Upload other, blobs().StartOrResume(kDefaultTenant, "v", BlobOf("abc")));
  for (Upload* upload : {&first, &other}) {
    ASSERT_OK(upload->Append(0, "abc"));
    EXPECT_OK(upload->Commit());
  }
  EXPECT_TRUE(Has("abc"));
}

// As when the stream of a client that has gone is looked at late.
TEST_F(BlobStoreTest, AWriterThatComesWhenTheUploadIsDoneLeavesNothing) {
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    const std::string bytes = absl::StrCat("round ", round);
    {
      std::jthread late([&](std::stop_token stop) {
        while (!stop.stop_requested()) {
          static_cast<void>(blobs().StartOrResume(kDefaultTenant, "u", BlobOf(bytes)));
        }
      });
      absl::Status status;
      do {
        status = UploadAll("u", bytes);
      } while (absl::IsUnavailable(status));
      ASSERT_OK(status);
    }
    ASSERT_TRUE(std::filesystem::is_empty(folder_.path() + "/uploads")) << "round " << round;
  }
}

TEST_F(BlobStoreTest, UnfinishedUploadsAreLimitedAndSweptAfterADay) {
  for (const char* id : {"a", "b", "c"}) ASSERT_OK(UploadPrefix(id, "abc", 1));
  EXPECT_THAT(UploadPrefix("d", "abc", 1),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("3 unfinished uploads")));
  clock_.Advance(absl::Hours(23));
  ASSERT_OK(blobs().SweepUploads());
  EXPECT_EQ(blobs().QueryStatus(kDefaultTenant, "a", BlobOf("abc"))->committed_size(), 1);
  clock_.Advance(absl::Hours(1));
  ASSERT_OK(blobs().SweepUploads());
  EXPECT_EQ(blobs().QueryStatus(kDefaultTenant, "a", BlobOf("abc"))->committed_size(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() + "/uploads"));
  EXPECT_OK(UploadAll("d", "abc"));
}

TEST_F(BlobStoreTest, AnUploadOfAnEarlierServerIsSweptADayAfterItsLastByte) {
  ASSERT_OK(UploadPrefix("u", "abc", 1));
  const std::string file = std::filesystem::directory_iterator(folder_.path() + "/uploads")->path();
  const timespec last = absl::ToTimespec(clock_.Now() - absl::Hours(23));
  const timespec times[] = {last, last};
  ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  Reopen();
  ASSERT_OK(blobs().SweepUploads());
  EXPECT_TRUE(std::filesystem::exists(file));
  clock_.Advance(absl::Hours(1));
  ASSERT_OK(blobs().SweepUploads());
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(BlobStoreTest, LocalFilesAndBytesComeInToo) {
  const std::string bytes = SomeBytes(kBlobPieceBytes + 17);
  ASSERT_OK(WriteFile(folder_.path() + "/file", bytes));
  ASSERT_OK_AND_ASSIGN(v1::Blob file, blobs().PutFile(kDefaultTenant, folder_.path() + "/file"));
  EXPECT_EQ(file.SerializeAsString(), BlobOf(bytes).SerializeAsString());
  ASSERT_OK_AND_ASSIGN(v1::Blob again, blobs().PutBytes(kDefaultTenant, bytes));
  EXPECT_EQ(again.SerializeAsString(), file.SerializeAsString());
  ASSERT_OK_AND_ASSIGN(std::string read, blobs().ReadBytes(kDefaultTenant, file.sha256(), 0, 0));
  EXPECT_TRUE(read == bytes);
  EXPECT_EQ(*blobs().TotalBytes(), static_cast<int64_t>(bytes.size()));
}

TEST_F(BlobStoreTest, FindMissingKeepsTheOrder) {
  ASSERT_OK(UploadAll("u", "abc"));
  const std::vector<std::string> asked = {Sha256Hex("z"), Sha256Hex("abc"), Sha256Hex("a")};
  ASSERT_OK_AND_ASSIGN(auto missing, blobs().FindMissing(kDefaultTenant, asked));
  EXPECT_THAT(missing, ElementsAre(Sha256Hex("z"), Sha256Hex("a")));
  ASSERT_OK_AND_ASSIGN(missing, blobs().FindMissing(kDefaultTenant, {}));
  EXPECT_THAT(missing, IsEmpty());
}

// The N-th step and all after it fail, for N = 1, 2, ... until an upload passes. After each, a new
// process finds a blob that is whole or none at all, and the upload can be done.
TEST_F(BlobStoreTest, AFailureAtAnyStepLeavesAWholeBlobOrNone) {
  for (int64_t step = 1;; ++step) {
    SCOPED_TRACE(step);
    const std::string bytes = absl::StrCat("upload ", step);
    FakeDisk failing;
    Reopen(&failing);
    failing.FailFrom(step);
    absl::Status status = UploadAll("u", bytes);
    const bool failed = failing.failed();
    if (status.ok()) {
      ASSERT_OK_AND_ASSIGN(std::string read,
                           blobs().ReadBytes(kDefaultTenant, Sha256Hex(bytes), 0, 0));
      EXPECT_EQ(read, bytes);
    }
    Reopen();
    EXPECT_EQ(Has(bytes), status.ok());
    // Nothing that was written has to be sent again.
    ASSERT_OK_AND_ASSIGN(auto resumed, blobs().QueryStatus(kDefaultTenant, "u", BlobOf(bytes)));
    const int64_t size = static_cast<int64_t>(bytes.size());
    EXPECT_EQ(resumed.committed_size(), step == 1 ? size / 2 : size);
    ASSERT_OK(UploadAll("u", bytes));
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path() + "/uploads"));
    ASSERT_OK_AND_ASSIGN(std::string read,
                         blobs().ReadBytes(kDefaultTenant, Sha256Hex(bytes), 0, 0));
    EXPECT_EQ(read, bytes);
    if (!failed) {
      EXPECT_GT(step, 5);  // write, sync, link, syncs of two folders have had their turn
      return;
    }
  }
}

TEST_F(BlobStoreTest, AnUploadThatFillsTheDiskMakesRoomAndStartsAnew) {
  FakeDisk full(absl::StatusCode::kResourceExhausted);
  Reopen(&full);
  full.FailFrom(2);
  const std::string bytes = "abcdefgh";
  ASSERT_OK_AND_ASSIGN(Upload upload, blobs().StartOrResume(kDefaultTenant, "u", BlobOf(bytes)));
  ASSERT_OK(upload.Append(0, "abcd"));
  EXPECT_THAT(upload.Append(4, "efgh"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("write")));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() + "/uploads"));
  EXPECT_EQ(upload.committed_size(), 0);
  EXPECT_THAT(upload.Append(0, "abcd"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("resume")));
  EXPECT_THAT(upload.Commit(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("resume")));
  ASSERT_OK_AND_ASSIGN(auto status, blobs().QueryStatus(kDefaultTenant, "u", BlobOf(bytes)));
  EXPECT_EQ(status.committed_size(), 0);
  full.FailFrom(0);
  EXPECT_OK(UploadAll("small", "abc"));
  EXPECT_OK(UploadAll("u", bytes));
  EXPECT_TRUE(Has(bytes));
}

// Nobody knows how much of a failed write is in the file.
TEST_F(BlobStoreTest, AfterAFailedWriteTheUploadGoesOn) {
  FakeDisk failing;
  Reopen(&failing);
  failing.FailFrom(2);
  const std::string bytes = "abcdefgh";
  {
    ASSERT_OK_AND_ASSIGN(Upload upload, blobs().StartOrResume(kDefaultTenant, "u", BlobOf(bytes)));
    ASSERT_OK(upload.Append(0, "abcd"));
    EXPECT_THAT(upload.Append(4, "efgh"),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("write")));
    EXPECT_THAT(upload.Append(4, "efgh"),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("resume")));
  }
  failing.FailFrom(0);
  ASSERT_OK_AND_ASSIGN(Upload upload, blobs().StartOrResume(kDefaultTenant, "u", BlobOf(bytes)));
  EXPECT_EQ(upload.committed_size(), 6);  // the fake disk took half of the second write
  ASSERT_OK(upload.Append(6, "gh"));
  EXPECT_OK(upload.Commit());
}

// A crash between the link and the row leaves one file with two names.
TEST_F(BlobStoreTest, AWholeUploadTakesNoMoreBytesAfterACrash) {
  FakeDisk failing;
  Reopen(&failing);
  failing.FailFrom(5);  // after write, sync, sync of the new folder, link
  EXPECT_FALSE(UploadAll("u", "abc").ok());
  Reopen();
  EXPECT_FALSE(Has("abc"));
  v1::Blob longer = BlobOf("abc");
  longer.set_size(4);
  EXPECT_THAT(blobs().StartOrResume(kDefaultTenant, "u", longer),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("holds 3 bytes")));
  ASSERT_OK_AND_ASSIGN(Upload upload, blobs().StartOrResume(kDefaultTenant, "u", BlobOf("abc")));
  EXPECT_EQ(upload.committed_size(), 3);
  ASSERT_OK(upload.Commit());
  EXPECT_EQ(*blobs().ReadBytes(kDefaultTenant, Sha256Hex("abc"), 0, 0), "abc");
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() + "/uploads"));
}

// As when its row is lost.
TEST_F(BlobStoreTest, AFileWithoutItsRowIsNotVisible) {
  ASSERT_OK(UploadAll("u", "abc"));
  ASSERT_OK(store_->database->Write(
      [](Connection& connection) { return connection.Execute("DELETE FROM blob"); }));
  EXPECT_FALSE(Has("abc"));
  EXPECT_THAT(blobs().ReadBytes(kDefaultTenant, Sha256Hex("abc"), 0, 0),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no blob")));
  ASSERT_OK(UploadAll("u", "abc"));
  EXPECT_TRUE(Has("abc"));
}

}  // namespace
}  // namespace radiograph
