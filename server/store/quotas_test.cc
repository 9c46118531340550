// Stored bytes by tenant, uploads at once, and a disk that runs low.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "google/rpc/error_details.pb.h"
#include "server/store/messages.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_disk.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

constexpr char kNobody[] = "nobody";

template <typename T>
std::optional<T> Detail(const absl::Status& status) {
  T detail;
  const auto bytes = status.GetPayload(absl::StrCat("type.googleapis.com/", detail.GetTypeName()));
  if (!bytes.has_value() || !detail.ParseFromString(std::string(*bytes))) return std::nullopt;
  return detail;
}
std::string Reason(const absl::Status& status) {
  const auto info = Detail<google::rpc::ErrorInfo>(status);
  return info ? info->reason() : "";
}
std::string Subject(const absl::Status& status) {
  const auto failure = Detail<google::rpc::QuotaFailure>(status);
  return failure && failure->violations_size() == 1 ? failure->violations(0).subject() : "";
}
bool AsksToComeBack(const absl::Status& status) {
  return Detail<google::rpc::RetryInfo>(status).has_value();
}

v1::Blob BlobOf(const std::string& bytes) {
  v1::Blob blob;
  blob.set_sha256(Sha256Hex(bytes));
  blob.set_size(static_cast<int64_t>(bytes.size()));
  return blob;
}

class QuotasTest : public ::testing::Test {
 protected:
  QuotasTest() : folder_(*TemporaryFolder::Make()) {
    options_.folder = folder_.path();
    options_.disk_free_bytes_min = 0;
    Reopen();
  }
  void Reopen() {
    store_.reset();
    auto store = Store::Open(options_, &clock_, &disk_);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }
  BlobStore& blobs() { return *store_->blobs; }
  int64_t Stored(const std::string& tenant) {
    auto bytes = blobs().StoredBytes(tenant);
    EXPECT_OK(bytes);
    return bytes.ok() ? *bytes : -1;
  }
  absl::Status Put(const std::string& tenant, const std::string& bytes) {
    return blobs().PutBytes(tenant, bytes).status();
  }
  int64_t FilesOfUploads() {
    int64_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder_.path() + "/uploads")) {
      count += file.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  const TemporaryFolder folder_;
  testing::FakeClock clock_;
  testing::FakeDisk disk_;
  BlobStore::Options options_;
  std::unique_ptr<Store> store_;
};

TEST_F(QuotasTest, EachTenantCountsWhatItPossessesAndTheServerEachBlobOnce) {
  ASSERT_OK(Put("a", std::string(100, 'x')));
  ASSERT_OK(Put("b", std::string(100, 'x')));
  ASSERT_OK(Put("b", std::string(50, 'y')));
  ASSERT_OK(Put("b", std::string(50, 'y')));
  for (int round = 0; round < 2; ++round, Reopen()) {
    EXPECT_EQ(Stored("a"), 100);
    EXPECT_EQ(Stored("b"), 150);
    EXPECT_EQ(Stored(kNobody), 0);
    EXPECT_EQ(*blobs().TotalBytes(), 150);
  }
}

// Whoever gives, takes and mends rows, in whatever order.
TEST_F(QuotasTest, TheCountIsTheSumAfterAnyChangeOfRows) {
  const std::vector<std::string> tenants = {"a", "b", "c"};
  std::mt19937 random(1);
  auto any = [&](int count) { return static_cast<int>(random() % count); };
  for (int step = 0; step < 400; ++step) {
    const std::string sha256 = Sha256Hex(absl::StrCat(any(10)));
    const std::string tenant = tenants[any(3)];
    const int64_t size = any(1000);
    const int what = any(5);
    ASSERT_OK(store_->database->Write([&](Connection& connection) -> absl::Status {
      auto run = [&](const char* sql) { return connection.Prepare(sql).Bind(1, sha256).Run(); };
      if (what == 0) return run("DELETE FROM blob WHERE sha256 = ?");
      if (what == 1) return run("DELETE FROM possession WHERE sha256 = ?");
      if (what == 2) return GiveBlob(connection, tenant, sha256);
      return connection
          .Prepare(
              "INSERT INTO blob (sha256, size, chain) VALUES (?, ?, '') ON CONFLICT (sha256) "
              "DO UPDATE SET size = excluded.size")
          .Bind(1, sha256)
          .Bind(2, size)
          .Run();
    }));
    std::map<std::string, int64_t> sums;
    ASSERT_OK(store_->database->Read([&](Connection& connection) -> absl::Status {
      Statement& all = connection.Prepare(
          "SELECT tenant, sum(size) FROM possession JOIN blob USING (sha256) GROUP BY tenant "
          "UNION ALL SELECT '', sum(size) FROM blob");
      while (true) {
        auto found = all.Step();
        if (!found.ok() || !*found) return found.status();
        sums[std::string(all.Text(0))] = all.Int(1);
      }
    }));
    for (const std::string& one : {std::string(), tenants[0], tenants[1], tenants[2]}) {
      ASSERT_EQ(Stored(one), sums[one]) << "of '" << one << "' after step " << step;
    }
  }
}

TEST_F(QuotasTest, ATenantStoresNoMoreThanItMay) {
  options_.stored_bytes_per_tenant_max = 250;
  Reopen();
  ASSERT_OK(Put("a", std::string(200, 'x')));
  const absl::Status refused = Put("a", std::string(60, 'y'));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                AllOf(HasSubstr("tenant a stores 200 bytes"), HasSubstr("250"),
                                      HasSubstr("60 more"))));
  EXPECT_EQ(Reason(refused), "STORED_BYTES_PER_TENANT");
  EXPECT_EQ(Subject(refused), "tenant:a");
  EXPECT_FALSE(AsksToComeBack(refused)) << "nothing goes away by waiting";
  EXPECT_EQ(FilesOfUploads(), 0);
  EXPECT_OK(Put("a", std::string(50, 'z')));
  EXPECT_OK(Put("a", std::string(200, 'x'))) << "what it has is no more";
  EXPECT_OK(Put("b", std::string(200, 'x')));
  EXPECT_OK(Put(kEveryTenant, std::string(999, 'r'))) << "a worker's result is not refused";
}

TEST_F(QuotasTest, AllTenantsTogetherStoreNoMoreThanTheyMay) {
  options_.stored_bytes_max = 250;
  Reopen();
  ASSERT_OK(Put("a", std::string(200, 'x')));
  const absl::Status refused = Put("b", std::string(60, 'y'));
  EXPECT_THAT(refused,
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("the server stores 200")));
  EXPECT_EQ(Reason(refused), "STORED_BYTES");
  EXPECT_EQ(Subject(refused), "server");
  EXPECT_OK(Put(kEveryTenant, std::string(100, 'r')));
  EXPECT_EQ(*blobs().TotalBytes(), 300) << "results count all the same";
}

TEST_F(QuotasTest, WhatUploadsDeclareCountsWhileTheyAreWritten) {
  options_.stored_bytes_per_tenant_max = 250;
  Reopen();
  const std::string first(150, 'x'), second(120, 'y');
  {
    auto one = blobs().StartOrResume("a", "1", BlobOf(first));
    ASSERT_OK(one);
    const absl::Status refused = blobs().StartOrResume("a", "2", BlobOf(second)).status();
    EXPECT_EQ(Reason(refused), "STORED_BYTES_PER_TENANT");
    EXPECT_TRUE(AsksToComeBack(refused)) << "the other upload may fail";
    EXPECT_OK(blobs().StartOrResume("b", "2", BlobOf(second)).status());
    ASSERT_OK(one->Append(0, first.substr(0, 100)));
  }
  EXPECT_OK(blobs().StartOrResume("a", "2", BlobOf(second)).status())
      << "of the one that broke off only what has come counts: 100";
  Reopen();
  EXPECT_EQ(Reason(blobs().StartOrResume("a", "3", BlobOf(std::string(151, 'z'))).status()),
            "STORED_BYTES_PER_TENANT")
      << "and that is known after a restart";
  auto one = blobs().StartOrResume("a", "1", BlobOf(first));
  ASSERT_OK(one);
  ASSERT_OK(one->Append(100, first.substr(100)));
  ASSERT_OK(one->Commit());
  EXPECT_EQ(Stored("a"), 150);
}

TEST_F(QuotasTest, UploadsAtOnceNeverGoBeyond) {
  constexpr int kUploads = 40, kBytes = 1000;
  options_.stored_bytes_per_tenant_max = 10 * kBytes + kBytes / 2;
  Reopen();
  std::vector<absl::Status> statuses(kUploads);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kUploads; ++i) {
      threads.emplace_back([&, i] {
        statuses[i] = Put("a", absl::StrCat(i, "-", std::string(kBytes, 'x')).substr(0, kBytes));
      });
    }
  }
  int stored = 0;
  for (const absl::Status& status : statuses) {
    stored += status.ok() ? 1 : 0;
    EXPECT_EQ(Reason(status), status.ok() ? "" : "STORED_BYTES_PER_TENANT");
  }
  EXPECT_LE(stored, 10);
  EXPECT_EQ(Stored("a"), stored * kBytes);
  // One after the other the rest of the room is taken.
  for (int i = 0; stored + i < 10; ++i) EXPECT_OK(Put("a", std::string(kBytes, 'a' + i)));
  EXPECT_EQ(Stored("a"), 10 * kBytes);
}

TEST_F(QuotasTest, OneTenantCannotTakeAllUploads) {
  options_.uploads_max = 3;
  options_.uploads_per_tenant_max = 2;
  Reopen();
  std::vector<Upload> open;
  auto start = [&](const std::string& tenant, const std::string& id) {
    auto upload = blobs().StartOrResume(tenant, id, BlobOf("some bytes"));
    if (upload.ok()) open.push_back(*std::move(upload));
    return upload.status();
  };
  ASSERT_OK(start("a", "1"));
  ASSERT_OK(start("a", "2"));
  absl::Status refused = start("a", "3");
  EXPECT_EQ(Reason(refused), "UPLOADS_PER_TENANT");
  EXPECT_TRUE(AsksToComeBack(refused));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                AllOf(HasSubstr("has 2"), HasSubstr("at most 2"))));
  ASSERT_OK(start("b", "1"));
  refused = start("b", "2");
  EXPECT_EQ(Reason(refused), "UPLOADS");
  EXPECT_EQ(Subject(refused), "server");
}

// --- Low disk ---

class LowDiskTest : public QuotasTest {
 protected:
  LowDiskTest() {
    options_.disk_free_bytes_min = 1000;
    disk_.SetFree(2000);
    Reopen();
  }
};

TEST_F(LowDiskTest, NothingNewIsTakenUntilThereIsRoomAgain) {
  ASSERT_OK(Put("a", std::string(200, 'x')));
  disk_.SetFree(999);
  const absl::Status refused = Put("a", "y");
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                AllOf(HasSubstr("999 bytes are free"), HasSubstr("1001 must be"))));
  EXPECT_EQ(Reason(refused), "DISK_SPACE");
  EXPECT_TRUE(AsksToComeBack(refused));
  EXPECT_TRUE(blobs().space().low());
  EXPECT_EQ(blobs().ReadBytes("a", Sha256Hex(std::string(200, 'x')), 0, 0)->size(), 200u);
  EXPECT_OK(Put("a", std::string(200, 'x'))) << "it is here";
  disk_.SetFree(1001);
  EXPECT_OK(Put("a", "y"));
  EXPECT_FALSE(blobs().space().low());
}

TEST_F(LowDiskTest, AnUploadThatWouldFillItIsRefusedBeforeItBegins) {
  EXPECT_EQ(Reason(Put("a", std::string(1001, 'x'))), "DISK_SPACE");
  auto first = blobs().StartOrResume("a", "1", BlobOf(std::string(600, 'x')));
  ASSERT_OK(first);
  EXPECT_EQ(Reason(blobs().StartOrResume("b", "2", BlobOf(std::string(600, 'y'))).status()),
            "DISK_SPACE")
      << "what the first will take is taken";
  EXPECT_EQ(FilesOfUploads(), 1);
}

TEST_F(LowDiskTest, AnUploadOnItsWayKeepsWhatHasCome) {
  const std::string bytes(600, 'x');
  {
    auto upload = blobs().StartOrResume("a", "1", BlobOf(bytes));
    ASSERT_OK(upload);
    ASSERT_OK(upload->Append(0, bytes.substr(0, 400)));
    disk_.SetFree(500);  // others fill it
    EXPECT_EQ(Reason(upload->Append(400, bytes.substr(400))), "DISK_SPACE");
  }
  EXPECT_EQ(blobs().QueryStatus("a", "1", BlobOf(bytes))->committed_size(), 400);
  disk_.SetFree(2000);
  auto upload = blobs().StartOrResume("a", "1", BlobOf(bytes));
  ASSERT_OK(upload);
  ASSERT_OK(upload->Append(400, bytes.substr(400)));
  ASSERT_OK(upload->Commit());
}

TEST_F(LowDiskTest, ResultsMayUseHalfOfWhatIsLeft) {
  disk_.SetFree(900);
  EXPECT_OK(Put(kEveryTenant, std::string(400, 'r')));
  const absl::Status refused = Put(kEveryTenant, std::string(401, 's'));
  EXPECT_EQ(Reason(refused), "DISK_SPACE");
  EXPECT_TRUE(AsksToComeBack(refused)) << "the worker keeps it and asks again";
}

TEST_F(LowDiskTest, SmallThingsLookOnceASecond) {
  disk_.SetFree(0);
  EXPECT_OK(blobs().space().CheckSmall());
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Reason(blobs().space().CheckSmall()), "DISK_SPACE");
  disk_.SetFree(5000);
  EXPECT_FALSE(blobs().space().CheckSmall().ok());
  clock_.Advance(absl::Seconds(1));
  EXPECT_OK(blobs().space().CheckSmall());
}

TEST_F(LowDiskTest, TheMinimumFitsSmallDisksAndCanBeLeftOut) {
  options_.disk_free_bytes_min = DiskSpace::kAutomatic;
  Reopen();
  EXPECT_EQ(blobs().space().free_bytes_min(), int64_t{1} << 30);  // 100 GB in all
  options_.disk_free_bytes_min = 0;
  Reopen();
  disk_.SetFree(0);
  EXPECT_OK(Put("a", "x"));
  EXPECT_FALSE(blobs().space().low());
}

TEST_F(LowDiskTest, AFullDatabaseSaysSoAndRecovers) {
  auto limit_pages = [&](const char* sql) {
    ASSERT_OK(store_->database->Write([&](Connection& connection) {
      return connection.Prepare(sql).Step().status();  // SQLite's own limit, in place of the disk's
    }));
  };
  limit_pages("PRAGMA max_page_count = 1");  // as many as there are
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) status = Put("a", absl::StrCat(i));
  EXPECT_EQ(Reason(status), "DISK_SPACE") << status;
  EXPECT_TRUE(AsksToComeBack(status));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("full")));
  const int64_t stored = Stored("a");
  limit_pages("PRAGMA max_page_count = 1000000");
  EXPECT_OK(Put("a", "once more"));
  EXPECT_EQ(Stored("a"), stored + 9);
}

}  // namespace
}  // namespace radiograph
