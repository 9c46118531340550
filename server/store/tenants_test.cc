// What belongs to one tenant does not exist for another: blobs, uploads, artifacts; and how stores
// from before there were tenants are taken up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "server/store/schema.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;

constexpr char kBytes[] = "the weights";

class TenantsTest : public ::testing::Test {
 protected:
  TenantsTest() : folder_(*TemporaryFolder::Make()) { Reopen(); }
  void Reopen() {
    store_.reset();
    auto store = Store::Open({.folder = folder_.path()}, &clock_, &disk_);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }
  BlobStore& blobs() { return *store_->blobs; }
  std::vector<std::string> Missing(const std::string& tenant) {
    const std::vector<std::string> asked = {Sha256Hex(kBytes)};
    auto missing = blobs().FindMissing(tenant, asked);
    EXPECT_OK(missing);
    return missing.ok() ? *missing : asked;
  }
  static v1::Blob BlobOf(const std::string& bytes) {
    v1::Blob blob;
    blob.set_sha256(Sha256Hex(bytes));
    blob.set_size(static_cast<int64_t>(bytes.size()));
    return blob;
  }
  // An artifact of one file with kBytes.
  static v1::Artifact Manifest(const std::string& name) {
    v1::Artifact artifact;
    artifact.set_name(name);
    artifact.set_kind(v1::MODEL);
    v1::ArtifactFile& file = *artifact.add_files();
    file.set_name("model.safetensors");
    *file.mutable_blob() = BlobOf(kBytes);
    return artifact;
  }

  const TemporaryFolder folder_;
  testing::FakeClock clock_;
  Disk disk_;
  std::unique_ptr<Store> store_;
};

TEST_F(TenantsTest, ABlobIsThereForThoseWhoHaveUploadedIt) {
  ASSERT_OK(blobs().PutBytes("a", kBytes));
  const std::string sha256 = Sha256Hex(kBytes);
  EXPECT_THAT(Missing("a"), IsEmpty());
  EXPECT_THAT(Missing(kEveryTenant), IsEmpty()) << "workers find all";
  EXPECT_THAT(Missing("b"), ElementsAre(sha256));
  EXPECT_OK(blobs().ReadBytes("a", sha256, 0, 0));
  EXPECT_THAT(blobs().ReadBytes("b", sha256, 0, 0),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(sha256)));
}

TEST_F(TenantsTest, TheDigestAloneProvesNothing) {
  ASSERT_OK(blobs().PutBytes("a", kBytes));
  ASSERT_OK_AND_ASSIGN(Upload upload, blobs().StartOrResume("b", "u", BlobOf(kBytes)));
  EXPECT_FALSE(upload.complete());
  EXPECT_EQ(upload.committed_size(), 0);
  EXPECT_THAT(upload.Commit(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("0 have")));
  ASSERT_OK_AND_ASSIGN(const auto status, blobs().QueryStatus("b", "u", BlobOf(kBytes)));
  EXPECT_FALSE(status.complete());
  v1::Blob wrong = BlobOf(kBytes);
  wrong.set_size(1);
  EXPECT_OK(blobs().StartOrResume("b", "v", wrong)) << "whether the size is right tells something";
  EXPECT_THAT(Missing("b"), ElementsAre(Sha256Hex(kBytes)));
}

TEST_F(TenantsTest, BytesAreStoredOnce) {
  ASSERT_OK(blobs().PutBytes("a", kBytes));
  ASSERT_OK(blobs().PutBytes("b", kBytes));
  EXPECT_THAT(Missing("b"), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const int64_t stored, blobs().TotalBytes());
  EXPECT_EQ(stored, sizeof(kBytes) - 1);
  Reopen();
  EXPECT_THAT(Missing("a"), IsEmpty());
  EXPECT_THAT(Missing("b"), IsEmpty());
}

TEST_F(TenantsTest, AnUploadIsNotResumedByAnother) {
  {
    ASSERT_OK_AND_ASSIGN(Upload upload, blobs().StartOrResume("a", "u", BlobOf(kBytes)));
    ASSERT_OK(upload.Append(0, "the"));
  }
  for (const bool restarted : {false, true}) {
    if (restarted) Reopen();
    ASSERT_OK_AND_ASSIGN(const Upload theirs, blobs().StartOrResume("b", "u", BlobOf(kBytes)));
    EXPECT_EQ(theirs.committed_size(), 0) << restarted;
    ASSERT_OK_AND_ASSIGN(const Upload mine, blobs().StartOrResume("a", "u", BlobOf(kBytes)));
    EXPECT_EQ(mine.committed_size(), 3) << restarted;
  }
}

TEST_F(TenantsTest, ArtifactsAreATenantsOwn) {
  ASSERT_OK(blobs().PutBytes("a", kBytes));
  Catalogue& catalogue = store_->catalogue;
  EXPECT_THAT(catalogue.Create("b", Manifest("net")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("model.safetensors")));
  ASSERT_OK(catalogue.Create("a", Manifest("net")));
  EXPECT_THAT(catalogue.Get("b", "net"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("net")));
  EXPECT_THAT(catalogue.Delete("b", "net@1", ""),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("net@1")));
  ASSERT_OK_AND_ASSIGN(const auto theirs, catalogue.List("b", {}));
  EXPECT_EQ(theirs.artifacts_size(), 0);
  ASSERT_OK(blobs().PutBytes("b", kBytes));
  ASSERT_OK_AND_ASSIGN(const v1::Artifact same, catalogue.Create("b", Manifest("net")));
  EXPECT_EQ(same.version(), 1) << "names are a tenant's own";
  ASSERT_OK(catalogue.Delete("b", "net@1", ""));
  EXPECT_OK(catalogue.Get("a", "net@1"));
}

TEST(TenantsMigration, WhatWasThereBeforeIsTheDefaultTenants) {
  const TemporaryFolder folder = *TemporaryFolder::Make();
  const std::string path = folder.path() + "/radiograph.db";
  {
    ASSERT_OK_AND_ASSIGN(Connection old, Connection::Open(path, Connection::Mode::kReadWrite));
    ASSERT_OK(MigrateSchema(old, /*newest=*/3));
    ASSERT_OK(
        old.Execute("INSERT INTO blob VALUES ('b', 3, x'00');"
                    "INSERT INTO artifact VALUES (7, 'net', 2, 1, 'c', x'');"
                    "INSERT INTO artifact_name VALUES ('net', 2)"));
  }
  ASSERT_OK_AND_ASSIGN(Connection now, Connection::Open(path, Connection::Mode::kReadWrite));
  ASSERT_OK(MigrateSchema(now));
  for (const char* owner :
       {"SELECT tenant FROM possession WHERE sha256 = 'b'",
        "SELECT tenant FROM artifact WHERE sequence = 7 AND name = 'net' AND version = 2",
        "SELECT tenant FROM artifact_name WHERE name = 'net' AND last_version = 2"}) {
    Statement& read = now.Prepare(owner);
    ASSERT_OK_AND_ASSIGN(const bool found, read.Step());
    ASSERT_TRUE(found) << owner;
    EXPECT_EQ(read.Text(0), kDefaultTenant) << owner;
  }
}

}  // namespace
}  // namespace radiograph
