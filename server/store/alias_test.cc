// Aliases of artifacts: where they lead, how they move, what they protect.
#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "server/store/alias_rows.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::StatusCode kAborted = absl::StatusCode::kAborted;

class AliasTest : public ::testing::Test {
 protected:
  AliasTest() : folder_(*TemporaryFolder::Make()) {
    Reopen();
    for (const char* bytes : {"one", "two", "three"}) Create(kDefaultTenant, "net", bytes);
  }
  void Reopen() {
    store_.reset();
    auto store = Store::Open({.folder = folder_.path()}, &clock_, &disk_);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }
  Catalogue& catalogue() { return store_->catalogue; }
  void Create(const std::string& tenant, const std::string& name, const std::string& bytes) {
    v1::Artifact artifact;
    artifact.set_name(name);
    artifact.set_kind(v1::MODEL);
    v1::ArtifactFile& file = *artifact.add_files();
    file.set_name("model.safetensors");
    auto blob = store_->blobs->PutBytes(tenant, bytes);
    ASSERT_OK(blob);
    *file.mutable_blob() = *blob;
    ASSERT_OK(catalogue().Create(tenant, artifact));
  }
  absl::StatusOr<v1::Alias> Set(const std::string& ref, const std::string& alias,
                                const std::string& etag = "", bool remove = false) {
    v1::SetAliasRequest request;
    request.set_ref(ref);
    request.set_alias(alias);
    request.set_etag(etag);
    request.set_remove(remove);
    return catalogue().SetAlias(kDefaultTenant, request);
  }
  // Of what a reference leads to; 0: nowhere.
  int64_t VersionOf(const std::string& ref) {
    auto artifact = catalogue().Get(kDefaultTenant, ref);
    return artifact.ok() ? artifact->version() : 0;
  }
  std::vector<std::string> AliasesOf(const v1::Artifact& artifact) {
    std::vector<std::string> names;
    for (const v1::Alias& alias : artifact.aliases()) names.push_back(alias.alias());
    return names;
  }

  const TemporaryFolder folder_;
  testing::FakeClock clock_;
  Disk disk_;
  std::unique_ptr<Store> store_;
};

TEST_F(AliasTest, LeadsToAVersionAndMovesAndOutlivesARestart) {
  EXPECT_THAT(catalogue().Get(kDefaultTenant, "net:prod"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("net:prod")));
  ASSERT_OK_AND_ASSIGN(const v1::Alias first, Set("net@1", "prod"));
  EXPECT_EQ(first.version(), 1);
  EXPECT_EQ(first.name(), "net");
  EXPECT_EQ(first.update_time().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(VersionOf("net:prod"), 1);
  ASSERT_OK_AND_ASSIGN(const v1::Alias moved, Set("net@2", "prod"));
  EXPECT_NE(moved.etag(), first.etag());
  Reopen();
  EXPECT_EQ(VersionOf("net:prod"), 2);
  EXPECT_EQ(VersionOf("net"), 3) << "the newest is the newest";
  ASSERT_OK(Set("net:prod", "canary"));
  EXPECT_EQ(VersionOf("net:canary"), 2) << "an alias of an alias is one of its version";
  ASSERT_OK(Set("net@3", "prod"));
  EXPECT_EQ(VersionOf("net:canary"), 2);
}

TEST_F(AliasTest, ArtifactsTellTheirAliases) {
  ASSERT_OK(Set("net@2", "prod"));
  ASSERT_OK(Set("net@2", "best"));
  ASSERT_OK(Set("net@1", "old"));
  ASSERT_OK_AND_ASSIGN(const v1::Artifact got, catalogue().Get(kDefaultTenant, "net@2"));
  EXPECT_THAT(AliasesOf(got), ElementsAre("best", "prod"));
  v1::ListArtifactsRequest request;
  request.set_name("net");
  ASSERT_OK_AND_ASSIGN(const auto list, catalogue().List(kDefaultTenant, request));
  ASSERT_EQ(list.artifacts_size(), 3);
  EXPECT_THAT(AliasesOf(list.artifacts(0)), IsEmpty());
  EXPECT_THAT(AliasesOf(list.artifacts(1)), ElementsAre("best", "prod"));
  EXPECT_THAT(AliasesOf(list.artifacts(2)), ElementsAre("old"));
}

TEST_F(AliasTest, AnEtagIsCompared) {
  EXPECT_THAT(Set("net@1", "prod", "e"), StatusIs(kAborted, HasSubstr("not there")));
  ASSERT_OK_AND_ASSIGN(const v1::Alias first, Set("net@1", "prod", "-"));
  EXPECT_THAT(Set("net@2", "prod", "-"),
              StatusIs(kAborted, AllOf(HasSubstr("version 1"), HasSubstr(first.etag()),
                                       HasSubstr("was to be new"))));
  EXPECT_THAT(Set("net@2", "prod", "e"),
              StatusIs(kAborted, AllOf(HasSubstr("version 1"), HasSubstr(first.etag()))));
  EXPECT_EQ(VersionOf("net:prod"), 1);
  ASSERT_OK(Set("net@2", "prod", first.etag()));
  EXPECT_THAT(Set("net@3", "prod", first.etag()), StatusIs(kAborted, HasSubstr("version 2")));
  EXPECT_EQ(VersionOf("net:prod"), 2);
}

TEST_F(AliasTest, IsRemovedFromWhereItPoints) {
  ASSERT_OK_AND_ASSIGN(const v1::Alias alias, Set("net@1", "prod"));
  EXPECT_THAT(Set("net@2", "prod", "", /*remove=*/true),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("version 1")));
  EXPECT_THAT(Set("net@1", "prod", "e", /*remove=*/true), StatusIs(kAborted, HasSubstr("not e")));
  ASSERT_OK_AND_ASSIGN(const v1::Alias removed, Set("net@1", "prod", alias.etag(), true));
  EXPECT_EQ(removed.etag(), alias.etag());
  EXPECT_EQ(VersionOf("net:prod"), 0);
  EXPECT_THAT(Set("net@1", "prod", "", /*remove=*/true),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("net:prod")));
  ASSERT_OK_AND_ASSIGN(const v1::Alias again, Set("net@1", "prod"));
  EXPECT_NE(again.etag(), alias.etag()) << "it was away meanwhile";
}

TEST_F(AliasTest, TheNearestAreOfferedForAMistypedOne) {
  EXPECT_THAT(catalogue().Get(kDefaultTenant, "net:prd"),
              StatusIs(absl::StatusCode::kNotFound, "there is no artifact net:prd"));
  ASSERT_OK(Set("net@1", "staging"));
  ASSERT_OK(Set("net@2", "prod"));
  EXPECT_THAT(catalogue().Get(kDefaultTenant, "net:prd"),
              StatusIs(absl::StatusCode::kNotFound,
                       "there is no artifact net:prd; the nearest aliases of net are prod, staging"));
}

TEST_F(AliasTest, WhatOnePointsAtIsNotDeleted) {
  ASSERT_OK(Set("net@2", "prod"));
  EXPECT_THAT(catalogue().Delete(kDefaultTenant, "net@2", ""),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("prod"), HasSubstr("net@2"))));
  EXPECT_THAT(catalogue().Delete(kDefaultTenant, "net:prod", ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("NAME@VERSION")));
  EXPECT_OK(catalogue().Delete(kDefaultTenant, "net@1", ""));
  ASSERT_OK(Set("net@3", "prod"));
  EXPECT_OK(catalogue().Delete(kDefaultTenant, "net@2", ""));
  EXPECT_THAT(Set("net@2", "prod"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("net@2")));
}

TEST_F(AliasTest, NamesAndRefsAreChecked) {
  constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
  for (const std::string& alias : {std::string(), std::string("Prod"), std::string("1a"),
                                   std::string("a b"), std::string(65, 'a'), std::string("a:b")}) {
    EXPECT_THAT(Set("net@1", alias), StatusIs(kInvalid, HasSubstr("is no alias"))) << alias;
  }
  EXPECT_THAT(Set("net", "prod"), StatusIs(kInvalid, HasSubstr("NAME@VERSION")));
  EXPECT_THAT(Set("net@9", "prod"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("net@9")));
  EXPECT_THAT(ParseArtifactRef("net:Prod"), StatusIs(kInvalid, HasSubstr("is no alias")));
  EXPECT_THAT(ParseArtifactRef("net:"), StatusIs(kInvalid, HasSubstr("is no alias")));
  EXPECT_THAT(ParseArtifactRef("net@1:prod"), StatusIs(kInvalid, HasSubstr("NAME:ALIAS")));
  Create(kDefaultTenant, "job", "one");
  EXPECT_THAT(Set("job@1", "prod"), StatusIs(kInvalid, HasSubstr("output of a job")));
}

TEST_F(AliasTest, AreATenantsOwn) {
  ASSERT_OK(Set("net@2", "prod"));
  Create("other", "net", "theirs");
  EXPECT_THAT(catalogue().Get("other", "net:prod"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("net:prod")));
  v1::SetAliasRequest request;
  request.set_ref("net@1");
  request.set_alias("prod");
  request.set_etag("-");
  EXPECT_OK(catalogue().SetAlias("other", request));
  EXPECT_EQ(VersionOf("net:prod"), 2);
  request.set_ref("net@2");
  EXPECT_THAT(catalogue().SetAlias("other", request),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("net@2")));
}

TEST_F(AliasTest, AnArtifactHasSoManyAndNoMore) {
  for (int64_t i = 0; i < kAliasesMax; ++i) ASSERT_OK(Set("net@1", absl::StrCat("a", i)));
  EXPECT_THAT(Set("net@1", "more"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("64")));
  EXPECT_OK(Set("net@2", "a0")) << "moving takes no more";
}

TEST_F(AliasTest, OfRacersWithTheSameEtagOneWins) {
  constexpr int kRacers = 8, kRounds = 10;
  std::string etag = "-";
  for (int round = 0; round < kRounds; ++round) {
    std::latch start(kRacers);
    std::vector<absl::StatusOr<v1::Alias>> answers(kRacers, absl::UnknownError("none"));
    {
      std::vector<std::jthread> racers;
      for (int i = 0; i < kRacers; ++i) {
        racers.emplace_back([&, i] {
          start.arrive_and_wait();
          answers[i] = Set(absl::StrCat("net@", 1 + i % 3), "prod", etag);
        });
      }
    }
    int won = 0;
    for (const auto& answer : answers) {
      if (!answer.ok()) {
        EXPECT_THAT(answer, StatusIs(kAborted, HasSubstr("net:prod")));
        continue;
      }
      ++won;
      etag = answer->etag();
      EXPECT_EQ(VersionOf("net:prod"), answer->version());
    }
    ASSERT_EQ(won, 1);
  }
}

}  // namespace
}  // namespace radiograph
