#include "client/cli/local_files.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;

class LocalFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(TemporaryFolder folder, TemporaryFolder::Make());
    folder_.emplace(std::move(folder));
  }
  std::string Path(absl::string_view name) const {
    return absl::StrCat(folder_->path(), "/", name);
  }
  void Write(absl::string_view name, absl::string_view bytes = "x") {
    ASSERT_OK(MakeFolders(fs::path(Path(name)).parent_path().string()));
    ASSERT_OK(WriteFile(Path(name), bytes));
  }
  static std::vector<std::string> NamesOf(const LocalArtifact& artifact) {
    std::vector<std::string> names;
    for (const LocalFile& file : artifact.files) names.push_back(file.name);
    return names;
  }
  std::optional<TemporaryFolder> folder_;
};

TEST(LocalFiles, APathIsWhatLooksLikeOne) {
  for (const char* path : {"./x", "../x", "/x", ".", "..", "x.safetensors", "a/b.safetensors"}) {
    EXPECT_TRUE(IsPath(path)) << path;
  }
  for (const char* name : {"x", "a/b", "digits@2", "job:7/out", "x.safetensors@1", ".x"}) {
    EXPECT_FALSE(IsPath(name)) << name;
  }
}

TEST_F(LocalFilesTest, AFileIsTheModelWhateverItsName) {
  Write("net/epoch 12.safetensors");
  Write("net/epoch 12.names.json");
  Write("net/config.json");
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(Path("net/epoch 12.safetensors"), v1::MODEL));
  EXPECT_EQ(model.name, "epoch_12");
  EXPECT_THAT(NamesOf(model), ElementsAre("model.safetensors", "names.json"));
  EXPECT_EQ(model.files[1].path, Path("net/epoch 12.names.json"));
  ASSERT_OK_AND_ASSIGN(LocalArtifact data,
                       FindFiles(Path("net/epoch 12.safetensors"), v1::DATASET));
  EXPECT_THAT(NamesOf(data), ElementsAre("data.safetensors", "names.json"));
}

TEST_F(LocalFilesTest, ModelSafetensorsIsCalledAfterItsFolder) {
  Write("digits/model.safetensors");
  ASSERT_OK_AND_ASSIGN(LocalArtifact file, FindFiles(Path("digits/model.safetensors"), v1::MODEL));
  EXPECT_EQ(file.name, "digits");
  ASSERT_OK_AND_ASSIGN(LocalArtifact folder, FindFiles(Path("digits/"), v1::MODEL));
  EXPECT_EQ(folder.name, "digits");
}

TEST_F(LocalFilesTest, AFolderBringsWhatBelongsToItsKind) {
  for (const char* name : {"m/b.safetensors", "m/a.safetensors", "m/config.json", "m/names.json",
                           "m/tokenizer.json", "m/pytorch_model.bin", "m/sub/c.safetensors"}) {
    Write(name);
  }
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(Path("m"), v1::MODEL));
  EXPECT_THAT(NamesOf(model),
              ElementsAre("a.safetensors", "b.safetensors", "config.json", "names.json"));
  ASSERT_OK_AND_ASSIGN(LocalArtifact data, FindFiles(Path("m"), v1::DATASET));
  EXPECT_THAT(NamesOf(data), ElementsAre("a.safetensors", "b.safetensors", "names.json"));
}

TEST_F(LocalFilesTest, AnIndexChoosesTheShards) {
  for (const char* name : {"m/s-1.safetensors", "m/s-2.safetensors", "m/consolidated.safetensors"})
    Write(name);
  Write(
      "m/model.safetensors.index.json",
      R"({"weight_map": {"a": "s-2.safetensors", "b": "s-1.safetensors", "c": "s-1.safetensors"}})");
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(Path("m"), v1::MODEL));
  EXPECT_THAT(NamesOf(model),
              ElementsAre("model.safetensors.index.json", "s-1.safetensors", "s-2.safetensors"));
}

TEST_F(LocalFilesTest, AnIndexNeverLeavesItsFolder) {
  Write("m/model.safetensors.index.json", R"({"weight_map": {"a": "../secret.safetensors"}})");
  EXPECT_THAT(FindFiles(Path("m"), v1::MODEL),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no shard index")));
}

TEST_F(LocalFilesTest, TheCacheOfHuggingFaceIsFollowed) {
  Write("hub/models--org--tiny/blobs/0123");
  const fs::path snapshot = Path("hub/models--org--tiny/snapshots/abc");
  ASSERT_OK(MakeFolders(snapshot.string()));
  fs::create_symlink("../../blobs/0123", snapshot / "model.safetensors");
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(snapshot.string(), v1::MODEL));
  EXPECT_EQ(model.name, "org/tiny");
  EXPECT_THAT(NamesOf(model), ElementsAre("model.safetensors"));
}

TEST_F(LocalFilesTest, WhatIsNotThereIsNamed) {
  EXPECT_THAT(FindFiles(Path("none"), v1::MODEL),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(Path("none"))));
  ASSERT_OK(MakeFolders(Path("empty")));
  EXPECT_THAT(
      FindFiles(Path("empty"), v1::MODEL),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("holds no .safetensors file")));
}

}  // namespace
}  // namespace radiograph::cli
