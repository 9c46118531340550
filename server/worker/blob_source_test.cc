#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/cause.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "server/worker/blob_transfer.h"
#include "server/worker/fake_server.h"
#include "server/worker/remote_blob_source.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

class RemoteBlobSourceTest : public ::testing::Test {
 protected:
  std::unique_ptr<RemoteBlobSource> Open(int64_t bytes_max = 1 << 20) {
    absl::StatusOr<std::unique_ptr<RemoteBlobSource>> source = RemoteBlobSource::Open(
        {.folder = folder_.path() + "/cache", .bytes_max = bytes_max, .token = ""},
        server_.Channel());
    EXPECT_OK(source);
    return *std::move(source);
  }
  std::string Blob(char letter, int64_t size) { return server_.AddBlob(std::string(size, letter)); }
  static std::string Bytes(const PinnedFile& file) { return ReadFile(*file, 1 << 20).value(); }

  FakeServer server_;
  TemporaryFolder folder_ = TemporaryFolder::Make().value();
};

TEST_F(RemoteBlobSourceTest, FetchesOnceAndKeepsAReadOnlyFile) {
  auto source = Open();
  std::string a = Blob('a', 5000);
  ASSERT_OK_AND_ASSIGN(PinnedFile file, source->Fetch(a, 5000, {}));
  EXPECT_EQ(Bytes(file), std::string(5000, 'a'));
  struct stat info;
  ASSERT_EQ(stat(file->c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0444u);
  ASSERT_OK(source->Fetch(a, 5000, {}));
  EXPECT_EQ(server_.reads(), 1);
}

TEST_F(RemoteBlobSourceTest, EmptyBlobIsAFileToo) {
  auto source = Open();
  ASSERT_OK_AND_ASSIGN(PinnedFile file, source->Fetch(server_.AddBlob(""), 0, {}));
  EXPECT_EQ(Bytes(file), "");
}

TEST_F(RemoteBlobSourceTest, GoesOnWhereTheStreamBroke) {
  auto source = Open();
  std::string a = Blob('a', 5000);
  server_.BreakNextStreamAfter(3000);
  ASSERT_OK_AND_ASSIGN(PinnedFile file, source->Fetch(a, 5000, {}));
  EXPECT_EQ(Bytes(file), std::string(5000, 'a'));
  EXPECT_EQ(server_.reads(), 2);
  EXPECT_EQ(server_.bytes_read(), 5000);
}

TEST_F(RemoteBlobSourceTest, FullDiskIsToldAtOnceWithThePath) {
  auto source = Open();
  std::string a = Blob('a', 5000), partial = folder_.path() + "/cache/partial/" + a;
  ASSERT_EQ(symlink("/dev/full", partial.c_str()), 0);
  absl::Status status = source->Fetch(a, 5000, {}).status();
  EXPECT_EQ(ErrnoOf(status), ENOSPC);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(partial), HasSubstr("No space left on device")));
  ASSERT_EQ(unlink(partial.c_str()), 0);
  EXPECT_OK(source->Fetch(a, 5000, {}));
}

TEST_F(RemoteBlobSourceTest, NoDescriptorsLeftIsToldAtOnce) {
  auto source = Open();
  std::string a = Blob('a', 5000);
  rlimit limit{}, none{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = {0, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  absl::Status status = source->Fetch(a, 5000, {}).status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(ErrnoOf(status), EMFILE);
  EXPECT_OK(source->Fetch(a, 5000, {}));
}

TEST_F(RemoteBlobSourceTest, NextProcessGoesOnWithAPartialBlobAndFindsCompleteOnes) {
  std::string a = Blob('a', 3000), b = Blob('b', 3000);
  ASSERT_OK(Open()->Fetch(a, 3000, {}));
  ASSERT_OK(WriteFile(folder_.path() + "/cache/partial/" + b, std::string(2000, 'b')));
  auto source = Open();
  ASSERT_OK(source->Fetch(a, 3000, {}));
  ASSERT_OK(source->Fetch(b, 3000, {}));
  EXPECT_EQ(server_.reads(), 2);
  EXPECT_EQ(server_.bytes_read(), 4000);
}

TEST_F(RemoteBlobSourceTest, WhatAnEarlierProcessLeftIsVerifiedBeforeItsFirstUse) {
  std::string a = Blob('a', 3000), b = Blob('b', 3000);
  {
    auto source = Open();
    ASSERT_OK(source->Fetch(a, 3000, {}));
    ASSERT_OK(source->Fetch(b, 3000, {}));
  }
  const std::string path = folder_.path() + "/cache/blobs/" + a;
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  for (const std::string& damaged : {std::string(2999, 'a') + "b", std::string(17, 'a')}) {
    ASSERT_OK(WriteFile(path, damaged));
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    auto source = Open();
    const int reads = server_.reads();
    ASSERT_OK_AND_ASSIGN(PinnedFile file, source->Fetch(a, 3000, {}));
    EXPECT_EQ(Bytes(file), std::string(3000, 'a'));
    EXPECT_EQ(server_.reads(), reads + 1);
    ASSERT_OK(source->Fetch(b, 3000, {}));
    EXPECT_EQ(server_.reads(), reads + 1) << "that one was whole";
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  }
}

TEST_F(RemoteBlobSourceTest, PartialBlobThatNobodyWantedForADayIsDropped) {
  ASSERT_OK(Open()->Fetch(Blob('a', 10), 10, {}));
  std::string partial = folder_.path() + "/cache/partial/" + Blob('b', 3000);
  ASSERT_OK(WriteFile(partial, "bbb"));
  Open();
  ASSERT_EQ(access(partial.c_str(), F_OK), 0);
  timespec old[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, partial.c_str(), old, 0), 0);
  Open();
  EXPECT_NE(access(partial.c_str(), F_OK), 0);
}

TEST_F(RemoteBlobSourceTest, WrongBytesAreDataLossAndNotKept) {
  auto source = Open();
  std::string a = Blob('a', 3000);
  server_.Corrupt();
  EXPECT_THAT(source->Fetch(a, 3000, {}), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(a)));
  EXPECT_THAT(source->Fetch(a, 3000, {}), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(a)));
  EXPECT_EQ(source->free_bytes(), 1 << 20);
}

TEST_F(RemoteBlobSourceTest, UnknownBlobIsNotFound) {
  EXPECT_THAT(Open()->Fetch(Sha256Hex("nowhere"), 7, {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no such blob")));
  EXPECT_THAT(Open()->Fetch("../../etc/passwd", 7, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no SHA-256")));
}

TEST_F(RemoteBlobSourceTest, LeastRecentlyUsedGoesFirst) {
  auto source = Open(10'000);
  std::string a = Blob('a', 4000), b = Blob('b', 4000), c = Blob('c', 4000);
  ASSERT_OK(source->Fetch(a, 4000, {}));
  ASSERT_OK(source->Fetch(b, 4000, {}));
  ASSERT_OK(source->Fetch(a, 4000, {}));  // now b is the oldest
  ASSERT_OK(source->Fetch(c, 4000, {}));
  EXPECT_EQ(server_.reads(), 3);
  ASSERT_OK(source->Fetch(a, 4000, {}));
  EXPECT_EQ(server_.reads(), 3);
  ASSERT_OK(source->Fetch(b, 4000, {}));
  EXPECT_EQ(server_.reads(), 4);
}

TEST_F(RemoteBlobSourceTest, BlobInUseIsNeverDropped) {
  auto source = Open(10'000);
  std::string a = Blob('a', 6000), b = Blob('b', 6000);
  ASSERT_OK_AND_ASSIGN(PinnedFile held, source->Fetch(a, 6000, {}));
  EXPECT_EQ(source->free_bytes(), 4000);
  EXPECT_THAT(source->Fetch(b, 6000, {}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("6000 bytes"), HasSubstr("at most 10000"))));
  EXPECT_EQ(Bytes(held), std::string(6000, 'a'));
  held.reset();
  EXPECT_OK(source->Fetch(b, 6000, {}));
}

TEST_F(RemoteBlobSourceTest, LowerLimitAfterARestartDropsTheOldest) {
  std::string a = Blob('a', 4000), b = Blob('b', 4000);
  {
    auto source = Open();
    ASSERT_OK(source->Fetch(a, 4000, {}));
    ASSERT_OK(source->Fetch(b, 4000, {}));
  }
  timespec old[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, (folder_.path() + "/cache/blobs/" + b).c_str(), old, 0), 0);
  auto source = Open(5000);
  ASSERT_OK(source->Fetch(a, 4000, {}));
  EXPECT_EQ(server_.reads(), 2);
  EXPECT_EQ(source->free_bytes(), 5000);
}

TEST_F(RemoteBlobSourceTest, TwoWhoAskAtOnceFetchOnce) {
  auto source = Open();
  std::string a = Blob('a', 100'000);
  auto fetch = [&] { EXPECT_OK(source->Fetch(a, 100'000, {})); };
  { std::jthread one(fetch), two(fetch), three(fetch); }
  EXPECT_EQ(server_.reads(), 1);
}

TEST_F(RemoteBlobSourceTest, StopEndsTheWaitForAServerThatIsGone) {
  auto source = Open();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT(source->Fetch(Blob('a', 10), 10, stop.get_token()),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("asked to stop")));
}

TEST(BlobTransfer, UploadGoesOnWhereTheStreamBroke) {
  FakeServer server;
  TemporaryFolder folder = TemporaryFolder::Make().value();
  std::string bytes(3 * kTransferChunkBytes + 17, 'x');
  std::string path = folder.path() + "/file", sha256 = Sha256Hex(bytes);
  ASSERT_OK(WriteFile(path, bytes));
  BlobTransfer transfer(server.Channel(), "");
  server.BreakNextStreamAfter(2 * kTransferChunkBytes);
  ASSERT_OK(transfer.Upload(path, sha256, bytes.size(), {}));
  EXPECT_EQ(server.blob(sha256), bytes);
}

TEST(BlobTransfer, WhatTheServerBreaksOffIsTriedAgain) {
  const absl::Status answers[] = {absl::CancelledError("Cancelled on the server side"),
                                  absl::UnavailableError("no route"),
                                  absl::ResourceExhaustedError("more than may ever be")};
  int calls = 0;
  EXPECT_THAT(RetryUnavailable({}, [&] { return answers[calls++]; }),
              StatusIs(absl::StatusCode::kResourceExhausted, "more than may ever be"));
  EXPECT_EQ(calls, 3);
}

TEST(BlobTransfer, EmptyFileIsUploaded) {
  FakeServer server;
  TemporaryFolder folder = TemporaryFolder::Make().value();
  ASSERT_OK(WriteFile(folder.path() + "/file", ""));
  BlobTransfer transfer(server.Channel(), "");
  ASSERT_OK(transfer.Upload(folder.path() + "/file", Sha256Hex(""), 0, {}));
  ASSERT_OK_AND_ASSIGN(auto missing, transfer.FindMissing({Sha256Hex(""), Sha256Hex("y")}, {}));
  EXPECT_THAT(missing, ::testing::ElementsAre(Sha256Hex("y")));
}

TEST(BlobTransfer, ManyBlobsAreAskedForInSeveralCalls) {
  FakeServer server;
  std::vector<std::string> digests;
  for (int i = 0; i < 1000; ++i) digests.push_back(Sha256Hex(absl::StrCat(i)));
  server.AddBlob("300");
  BlobTransfer transfer(server.Channel(), "");
  ASSERT_OK_AND_ASSIGN(auto missing, transfer.FindMissing(digests, {}));
  EXPECT_EQ(missing.size(), 999u);
  EXPECT_FALSE(missing.contains(Sha256Hex("300")));
}

TEST(BlobTransfer, FileThatChangedMeanwhileIsRefused) {
  FakeServer server;
  TemporaryFolder folder = TemporaryFolder::Make().value();
  ASSERT_OK(WriteFile(folder.path() + "/file", "new"));
  BlobTransfer transfer(server.Channel(), "");
  EXPECT_THAT(transfer.Upload(folder.path() + "/file", Sha256Hex("old"), 3, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("other bytes")));
}

}  // namespace
}  // namespace radiograph
