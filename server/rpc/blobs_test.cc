#include "server/rpc/blobs.h"

#include "core/base/digest.h"
#include "server/rpc/test_store.h"

namespace radiograph {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;

class BlobsTest : public testing::StoreTest {
 protected:
  v1::WriteRequest First(const std::string& bytes, int64_t offset, const std::string& data) {
    v1::WriteRequest message = Next(offset, data);
    message.set_upload_id("u1");
    message.mutable_blob()->set_sha256(Sha256Hex(bytes));
    message.mutable_blob()->set_size(static_cast<int64_t>(bytes.size()));
    return message;
  }
  v1::WriteRequest Next(int64_t offset, const std::string& data) {
    v1::WriteRequest message;
    message.set_offset(offset);
    message.set_data(data);
    return message;
  }
  absl::StatusOr<v1::WriteResponse> Write(const std::vector<v1::WriteRequest>& messages) {
    read_ = 0;
    return WriteBlob(*store_->blobs, kDefaultTenant, [&](v1::WriteRequest& message) {
      if (read_ == messages.size()) return false;
      message = messages[read_++];
      return true;
    });
  }
  absl::StatusOr<std::string> Read(const std::string& sha256, int64_t offset, int64_t limit) {
    v1::ReadRequest request;
    request.set_sha256(sha256);
    request.set_offset(offset);
    request.set_limit(limit);
    std::string bytes;
    absl::Status status =
        ReadBlob(*store_->blobs, kDefaultTenant, request, [&](const v1::ReadResponse& piece) {
          bytes += piece.data();
          return true;
        });
    if (!status.ok()) return status;
    return bytes;
  }
  size_t read_ = 0;  // messages that WriteBlob asked for
};

TEST_F(BlobsTest, WhatIsWrittenCanBeRead) {
  ASSERT_OK_AND_ASSIGN(const auto response,
                       Write({First("hello world", 0, "hello"), Next(5, " wor"), Next(9, "ld")}));
  EXPECT_TRUE(response.complete());
  EXPECT_EQ(response.committed_size(), 11);
  EXPECT_EQ(*Read(Sha256Hex("hello world"), 0, 0), "hello world");
  EXPECT_EQ(*Read(Sha256Hex("hello world"), 6, 3), "wor");
}

TEST_F(BlobsTest, ABrokenUploadIsResumedWhereItStopped) {
  ASSERT_OK_AND_ASSIGN(auto response, Write({First("hello world", 0, "hello")}));
  EXPECT_FALSE(response.complete());
  EXPECT_EQ(response.committed_size(), 5);
  EXPECT_THAT(Read(Sha256Hex("hello world"), 0, 0),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(Sha256Hex("hello world"))));
  EXPECT_THAT(Write({First("hello world", 4, "o world")}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("5")));
  ASSERT_OK_AND_ASSIGN(response, Write({First("hello world", 5, " world")}));
  EXPECT_TRUE(response.complete());
}

TEST_F(BlobsTest, ABlobThatIsThereIsNotReadAgain) {
  ASSERT_OK(store_->blobs->PutBytes(kDefaultTenant, "hello"));
  ASSERT_OK_AND_ASSIGN(const auto response, Write({First("hello", 0, "h"), Next(1, "ello")}));
  EXPECT_TRUE(response.complete());
  EXPECT_EQ(response.committed_size(), 5);
  EXPECT_EQ(read_, 1u);
}

TEST_F(BlobsTest, AnEmptyBlobNeedsNoData) {
  ASSERT_OK_AND_ASSIGN(const auto response, Write({First("", 0, "")}));
  EXPECT_TRUE(response.complete());
  EXPECT_EQ(*Read(Sha256Hex(""), 0, 0), "");
}

TEST_F(BlobsTest, WrongBytesAreRefused) {
  EXPECT_THAT(Write({First("hello", 0, "hellO")}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(Sha256Hex("hello"))));
}

TEST_F(BlobsTest, LargeMessagesAreRefused) {
  const std::string large(kChunkBytesMax + 1, 'x');
  EXPECT_THAT(Write({First(large, 0, large)}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1048576")));
  EXPECT_THAT(Write({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("first message")));
}

TEST_F(BlobsTest, AReaderThatHasGoneEndsTheRead) {
  ASSERT_OK(store_->blobs->PutBytes(kDefaultTenant, "hello"));
  v1::ReadRequest request;
  request.set_sha256(Sha256Hex("hello"));
  EXPECT_THAT(ReadBlob(*store_->blobs, kDefaultTenant, request,
                       [](const v1::ReadResponse&) { return false; }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("gone")));
}

TEST_F(BlobsTest, FindMissingHasALimit) {
  ASSERT_OK(store_->blobs->PutBytes(kDefaultTenant, "hello"));
  v1::FindMissingRequest request;
  request.add_sha256(Sha256Hex("hello"));
  request.add_sha256(Sha256Hex("other"));
  ASSERT_OK_AND_ASSIGN(const auto response, FindMissing(*store_->blobs, kDefaultTenant, request));
  EXPECT_THAT(response.missing(), ElementsAre(Sha256Hex("other")));
  for (int i = 0; i < kFindMissingMax; ++i) request.add_sha256(Sha256Hex("other"));
  EXPECT_THAT(FindMissing(*store_->blobs, kDefaultTenant, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("10000")));
}

}  // namespace
}  // namespace radiograph
