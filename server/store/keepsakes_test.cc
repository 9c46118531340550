#include "server/store/keepsakes.h"

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::FakeClock;
using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

class KeepsakesTest : public ::testing::Test {
 protected:
  KeepsakesTest() : folder_(*TemporaryFolder::Make()) {
    engine_.set_build("build");
    Reopen();
  }
  void Reopen() {
    store_.reset();
    auto store = Store::Open({.folder = folder_.path()}, &clock_, &disk_);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }
  // As a worker uploads it: it is nobody's.
  v1::Blob Blob(const std::string& bytes) {
    auto blob = store_->blobs->PutBytes(kEveryTenant, bytes);
    EXPECT_OK(blob);
    return *blob;
  }
  absl::Status Write(std::function<absl::Status(Keepsakes)> body) {
    return store_->database->Write(
        [&](Connection& connection) { return body(Keepsakes(&connection)); });
  }
  absl::Status SaveState(int64_t job, const std::string& key, const v1::Blob& blob) {
    return Write([&](Keepsakes keepsakes) {
      return keepsakes.SaveState(job, key, engine_, {blob, /*attempt=*/1}).status();
    });
  }
  // The SHA-256 of what is kept, or nothing.
  std::string State(int64_t job, const std::string& key) {
    std::string found;
    EXPECT_OK(Write([&](Keepsakes keepsakes) -> absl::Status {
      ASSIGN_OR_RETURN(auto state, keepsakes.LoadState(job, key, engine_));
      if (state) found = state->blob.sha256();
      return absl::OkStatus();
    }));
    return found;
  }
  absl::Status SaveMemo(const std::string& tenant, const std::string& of, const v1::Blob& blob) {
    return Write([&](Keepsakes keepsakes) {
      return keepsakes.SaveMemo(tenant, Sha256Hex(of), engine_, blob, clock_.Now());
    });
  }
  std::string Memo(const std::string& tenant, const std::string& of) {
    std::string found;
    EXPECT_OK(Write([&](Keepsakes keepsakes) -> absl::Status {
      ASSIGN_OR_RETURN(auto blob, keepsakes.LoadMemo(tenant, Sha256Hex(of), engine_, clock_.Now()));
      if (blob) found = blob->sha256();
      return absl::OkStatus();
    }));
    return found;
  }
  int64_t DropMemos(absl::Duration age) {
    int64_t dropped = -1;
    EXPECT_OK(Write([&](Keepsakes keepsakes) -> absl::Status {
      ASSIGN_OR_RETURN(dropped, keepsakes.CountMemosUnusedSince(clock_.Now() - age));
      return keepsakes.DropMemosUnusedSince(clock_.Now() - age);
    }));
    return dropped;
  }

  const TemporaryFolder folder_;
  FakeClock clock_;
  Disk disk_;
  std::unique_ptr<Store> store_;
  v1::Engine engine_;
};

TEST_F(KeepsakesTest, TheNewestStateOfAKeySurvivesARestart) {
  const v1::Blob first = Blob("1"), second = Blob("2");
  ASSERT_OK(SaveState(1, "null", first));
  ASSERT_OK(SaveState(1, "null", second));
  ASSERT_OK(SaveState(1, "other", first));
  Reopen();
  EXPECT_EQ(State(1, "null"), second.sha256());
  EXPECT_EQ(State(1, "other"), first.sha256());
  EXPECT_EQ(State(2, "null"), "");
}

TEST_F(KeepsakesTest, WhatAnotherEngineMadeIsNotFound) {
  const v1::Blob blob = Blob("1");
  ASSERT_OK(SaveState(1, "null", blob));
  ASSERT_OK(SaveMemo("t", "m", blob));
  engine_.set_threads(2);
  EXPECT_EQ(State(1, "null"), "");
  EXPECT_EQ(Memo("t", "m"), "");
  const v1::Blob own = Blob("2");
  ASSERT_OK(SaveMemo("t", "m", own));
  EXPECT_EQ(Memo("t", "m"), own.sha256());
  engine_.clear_threads();
  EXPECT_EQ(Memo("t", "m"), blob.sha256());
}

TEST_F(KeepsakesTest, StateMovesAndIsDropped) {
  const v1::Blob blob = Blob("1");
  ASSERT_OK(SaveState(1, "null", blob));
  ASSERT_OK(Write([](Keepsakes keepsakes) { return keepsakes.MoveState(1, 2); }));
  EXPECT_EQ(State(1, "null"), "");
  EXPECT_EQ(State(2, "null"), blob.sha256());
  ASSERT_OK(Write([](Keepsakes keepsakes) { return keepsakes.DropState(2); }));
  EXPECT_EQ(State(2, "null"), "");
}

TEST_F(KeepsakesTest, KeysOfAJobHaveALimit) {
  const v1::Blob blob = Blob("1");
  for (int64_t i = 0; i < kStateKeysMax; ++i) ASSERT_OK(SaveState(1, absl::StrCat("k", i), blob));
  EXPECT_THAT(SaveState(1, "more", blob),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("16 keys")));
  EXPECT_OK(SaveState(1, "k0", blob));
  EXPECT_OK(SaveState(2, "more", blob));
}

TEST_F(KeepsakesTest, ABlobThatIsNotHereIsRefused) {
  v1::Blob blob;
  blob.set_sha256(Sha256Hex("nowhere"));
  blob.set_size(7);
  EXPECT_THAT(SaveState(1, "null", blob),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(blob.sha256())));
  EXPECT_THAT(SaveMemo("t", "m", blob),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(blob.sha256())));
}

TEST_F(KeepsakesTest, AMemoIsOfItsTenantAndOutlivesARestart) {
  const v1::Blob blob = Blob("1");
  ASSERT_OK(SaveMemo("t", "m", blob));
  Reopen();
  EXPECT_EQ(Memo("t", "m"), blob.sha256());
  EXPECT_EQ(Memo("other", "m"), "");
}

TEST_F(KeepsakesTest, MemosAreForgottenByTheAgeOfTheirLastUse) {
  const v1::Blob blob = Blob("1");
  ASSERT_OK(SaveMemo("t", "used", blob));
  ASSERT_OK(SaveMemo("t", "idle", blob));
  clock_.Advance(absl::Hours(5));
  EXPECT_EQ(Memo("t", "used"), blob.sha256());
  clock_.Advance(absl::Hours(5));
  EXPECT_EQ(DropMemos(absl::Hours(6)), 1);
  EXPECT_EQ(Memo("t", "used"), blob.sha256());
  EXPECT_EQ(Memo("t", "idle"), "");
}

TEST_F(KeepsakesTest, MemosOfATenantHaveALimit) {
  const v1::Blob blob = Blob("1");
  ASSERT_OK(SaveMemo("t", "first", blob));
  clock_.Advance(absl::Seconds(1));
  ASSERT_OK(SaveMemo("t", "second", blob));
  ASSERT_OK(store_->database->Write([](Connection& connection) {  // as many as there may be
    return connection
        .Prepare(
            "WITH RECURSIVE number (n) AS (VALUES (3) UNION ALL SELECT n + 1 FROM number "
            "WHERE n < ?) INSERT INTO memo SELECT 't', printf('%064x', n), engine, sha256, size, "
            "used + n FROM number, memo WHERE used = (SELECT max(used) FROM memo)")
        .Bind(1, kMemosPerTenantMax)
        .Run();
  }));
  ASSERT_OK(SaveMemo("other", "m", blob));
  EXPECT_EQ(Memo("t", "first"), blob.sha256());
  clock_.Advance(absl::Seconds(kMemosPerTenantMax));
  ASSERT_OK(SaveMemo("t", "one more", blob));
  EXPECT_EQ(Memo("t", "first"), "");
  EXPECT_EQ(Memo("t", "second"), blob.sha256());
  EXPECT_EQ(Memo("t", "one more"), blob.sha256());
  EXPECT_EQ(Memo("other", "m"), blob.sha256());
}

}  // namespace
}  // namespace radiograph
