#include "server/store/catalogue.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "server/store/page.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::FakeClock;
using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CatalogueTest : public ::testing::Test {
 protected:
  CatalogueTest() : folder_(*TemporaryFolder::Make()) { Reopen(); }
  void Reopen() {
    store_.reset();
    auto store = Store::Open({.folder = folder_.path()}, &clock_, &disk_);
    ASSERT_OK(store);
    store_ = *std::move(store);
  }
  Catalogue& catalogue() { return store_->catalogue; }

  // An artifact of one file with these bytes, which are in the store.
  v1::Artifact Manifest(const std::string& name, const std::string& bytes,
                        v1::ArtifactKind kind = v1::MODEL) {
    v1::Artifact artifact;
    artifact.set_name(name);
    artifact.set_kind(kind);
    v1::ArtifactFile& file = *artifact.add_files();
    file.set_name("model.safetensors");
    auto blob = store_->blobs->PutBytes(kDefaultTenant, bytes);
    EXPECT_OK(blob);
    *file.mutable_blob() = *blob;
    return artifact;
  }
  std::string Create(const std::string& name, const std::string& bytes,
                     v1::ArtifactKind kind = v1::MODEL) {
    auto artifact = catalogue().Create(kDefaultTenant, Manifest(name, bytes, kind));
    EXPECT_OK(artifact);
    return absl::StrCat(artifact->name(), "@", artifact->version());
  }
  // NAME@VERSION of all pages; `each_page` runs between them.
  std::vector<std::string> ListAll(
      v1::ListArtifactsRequest request, std::function<void()> each_page = [] {}) {
    std::vector<std::string> refs;
    do {
      auto page = catalogue().List(kDefaultTenant, request);
      EXPECT_OK(page);
      for (const v1::Artifact& artifact : page->artifacts()) {
        refs.push_back(absl::StrCat(artifact.name(), "@", artifact.version()));
      }
      request.set_page_token(page->next_page_token());
      each_page();
    } while (!request.page_token().empty());
    return refs;
  }

  const TemporaryFolder folder_;
  FakeClock clock_;
  Disk disk_;
  std::unique_ptr<Store> store_;
};

TEST_F(CatalogueTest, VersionsCountUpAndOutliveARestart) {
  EXPECT_EQ(Create("net", "one"), "net@1");
  EXPECT_EQ(Create("net", "two!"), "net@2");
  EXPECT_EQ(Create("other/net", "one"), "other/net@1");
  Reopen();
  ASSERT_OK_AND_ASSIGN(v1::Artifact newest, catalogue().Get(kDefaultTenant, "net"));
  EXPECT_EQ(newest.version(), 2);
  EXPECT_EQ(newest.size(), 4);
  EXPECT_EQ(newest.create_time().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_NE(newest.etag(), "");
  ASSERT_OK_AND_ASSIGN(v1::Artifact first, catalogue().Get(kDefaultTenant, "net@1"));
  EXPECT_EQ(first.files(0).blob().sha256(), Sha256Hex("one"));
  EXPECT_THAT(catalogue().Get(kDefaultTenant, "net@3"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("net@3")));
  EXPECT_THAT(catalogue().Get(kDefaultTenant, "nut"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nut")));
}

TEST_F(CatalogueTest, TheSameContentIsTheSameVersion) {
  EXPECT_EQ(Create("net", "one"), "net@1");
  EXPECT_EQ(Create("net", "two"), "net@2");
  EXPECT_EQ(Create("net", "one"), "net@1");
  v1::Artifact labelled = Manifest("net", "one");
  (*labelled.mutable_labels())["step"] = "100";
  ASSERT_OK_AND_ASSIGN(labelled, catalogue().Create(kDefaultTenant, labelled));
  EXPECT_EQ(labelled.version(), 3);
}

TEST_F(CatalogueTest, EveryBlobMustBeHere) {
  v1::Artifact artifact = Manifest("net", "one");
  artifact.mutable_files(0)->mutable_blob()->set_sha256(Sha256Hex("never uploaded"));
  EXPECT_THAT(
      catalogue().Create(kDefaultTenant, artifact),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("model.safetensors"), HasSubstr(Sha256Hex("never uploaded")))));
  EXPECT_EQ(Create("net", "one"), "net@1");  // the refused one took no version
}

TEST_F(CatalogueTest, NamesAndRefsAreChecked) {
  for (const char* ref : {"", "a b", "a@", "a@0", "a@-1", "a@x", "a@1@2", "\x01"}) {
    EXPECT_THAT(ParseArtifactRef(ref),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no")))
        << ref;
  }
  EXPECT_THAT(ParseArtifactRef(std::string(129, 'a')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1..128")));
  ASSERT_OK_AND_ASSIGN(ArtifactRef ref, ParseArtifactRef("org/net-1.2_x@17"));
  EXPECT_EQ(ref.name, "org/net-1.2_x");
  EXPECT_EQ(ref.version, 17);
}

TEST_F(CatalogueTest, ANewNameIsNoPathAndStaysOneHoweverItIsWritten) {
  for (const char* name : {"./a", "..", "/abs/name", "a.safetensors", "-a", "a//b"}) {
    EXPECT_THAT(catalogue().Create(kDefaultTenant, Manifest(name, "one")),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no name: ")))
        << name;
    EXPECT_OK(ParseArtifactRef(name)) << "an older server took it, so it can be read";
  }
  EXPECT_EQ(Create("мой", "one"), "мой@1");
  EXPECT_EQ(Create("мо\xd0\xb8\xcc\x86", "two"), "мой@2") << "й in two characters";
  EXPECT_EQ(catalogue().Get(kDefaultTenant, "мо\xd0\xb8\xcc\x86")->version(), 2);
  v1::ListArtifactsRequest request;
  request.set_name("мо\xd0\xb8\xcc\x86");
  EXPECT_THAT(ListAll(request), ElementsAre("мой@2", "мой@1"));
}

TEST_F(CatalogueTest, ListsTheNewestVersionOfEveryNameNewestFirst) {
  Create("a", "1");
  Create("b", "2", v1::DATASET);
  Create("c", "3");
  Create("a", "4");
  EXPECT_THAT(ListAll({}), ElementsAre("a@2", "c@1", "b@1"));
  v1::ListArtifactsRequest request;
  request.set_kind(v1::DATASET);
  EXPECT_THAT(ListAll(request), ElementsAre("b@1"));
  request.set_kind(v1::ARTIFACT_KIND_UNSPECIFIED);
  request.set_name("a");
  EXPECT_THAT(ListAll(request), ElementsAre("a@2", "a@1"));
}

TEST_F(CatalogueTest, PagesNeitherRepeatNorSkipWhenRowsCome) {
  std::vector<std::string> expected;
  for (int i = 0; i < 10; ++i) expected.insert(expected.begin(), Create("net", absl::StrCat(i)));
  v1::ListArtifactsRequest request;
  request.set_name("net");
  request.set_page_size(3);
  int more = 100;
  EXPECT_EQ(ListAll(request, [&] { Create("net", absl::StrCat(more++)); }), expected);
}

TEST_F(CatalogueTest, ListsByFilterAndInEitherOrder) {
  for (int step : {1, 2, 3}) {
    v1::Artifact artifact = Manifest("net", absl::StrCat("weights ", step));
    (*artifact.mutable_labels())["step"] = absl::StrCat(step);
    ASSERT_OK(catalogue().Create(kDefaultTenant, artifact));
  }
  Create("other", "long weights");
  v1::SetAliasRequest alias;
  alias.set_ref("net@2");
  alias.set_alias("prod");
  ASSERT_OK(catalogue().SetAlias(kDefaultTenant, alias));
  auto list = [&](const std::string& name, const std::string& filter, const std::string& order) {
    v1::ListArtifactsRequest request;
    request.set_name(name);
    request.set_filter(filter);
    request.set_order_by(order);
    request.set_page_size(1);
    return ListAll(request);
  };
  EXPECT_THAT(list("net", "", "create_time"), ElementsAre("net@1", "net@2", "net@3"));
  EXPECT_THAT(list("", "", "create_time"), ElementsAre("net@3", "other@1"));
  EXPECT_THAT(list("net", "labels.step = (1 OR 3)", ""), ElementsAre("net@3", "net@1"));
  EXPECT_THAT(list("net", "aliases.alias:prod", ""), ElementsAre("net@2"));
  EXPECT_THAT(list("", "size > 10 AND kind = MODEL", ""), ElementsAre("other@1"));
  EXPECT_THAT(list("", "labels.step = 1", ""), ElementsAre()) << "the newest version has another";
  v1::ListArtifactsRequest wrong;
  wrong.set_filter("labels = 1");
  EXPECT_THAT(catalogue().List(kDefaultTenant, wrong),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("labels.KEY = VALUE")));
  wrong.set_filter("");
  wrong.set_order_by("size");
  EXPECT_THAT(catalogue().List(kDefaultTenant, wrong),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("create_time is allowed")));
}

TEST_F(CatalogueTest, PageTokensAreOfOneListOnly) {
  for (int i = 0; i < 3; ++i) Create("net", absl::StrCat(i));
  v1::ListArtifactsRequest request;
  request.set_name("net");
  request.set_page_size(1);
  ASSERT_OK_AND_ASSIGN(auto page, catalogue().List(kDefaultTenant, request));
  request.set_name("other");
  request.set_page_token(page.next_page_token());
  EXPECT_THAT(catalogue().List(kDefaultTenant, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_token")));
  request.set_page_token("garbage");
  EXPECT_THAT(catalogue().List(kDefaultTenant, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_token")));
  request.set_page_size(-1);
  EXPECT_THAT(catalogue().List(kDefaultTenant, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_size")));
}

TEST_F(CatalogueTest, DeleteTakesOneVersionAndNeverGivesItAgain) {
  Create("net", "one");
  Create("net", "two");
  EXPECT_THAT(catalogue().Delete(kDefaultTenant, "net", ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("which")));
  EXPECT_THAT(catalogue().Delete(kDefaultTenant, "net@2", "wrong"),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("wrong")));
  EXPECT_OK(catalogue().Delete(kDefaultTenant, "net@2",
                               catalogue().Get(kDefaultTenant, "net@2")->etag()));
  EXPECT_THAT(catalogue().Delete(kDefaultTenant, "net@2", ""),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("net@2")));
  EXPECT_EQ(catalogue().Get(kDefaultTenant, "net")->version(), 1);
  EXPECT_EQ(Create("net", "two"), "net@3");
}

}  // namespace
}  // namespace radiograph
