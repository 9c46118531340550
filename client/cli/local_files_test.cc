#include "client/cli/local_files.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/safetensors/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
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
  // A file of these tensors, of one element each.
  void WriteTensors(absl::string_view name, const std::vector<std::string>& tensors) {
    ASSERT_OK(MakeFolders(fs::path(Path(name)).parent_path().string()));
    std::vector<safetensors::TensorSpec> specs;
    for (const std::string& tensor : tensors) {
      specs.push_back({tensor, safetensors::DType::kF32, {1}});
    }
    ASSERT_OK_AND_ASSIGN(safetensors::Writer writer,
                         safetensors::Writer::Create(Path(name), specs));
    for (size_t i = 0; i < specs.size(); ++i) ASSERT_OK(writer.Append(std::string(4, '\0')));
    ASSERT_OK(writer.Finish());
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
  EXPECT_THAT(model.name, StartsWith("epoch_12-"));
  EXPECT_THAT(NamesOf(model), ElementsAre("model.safetensors", "names.json"));
  EXPECT_EQ(model.files[1].path, Path("net/epoch 12.names.json"));
  ASSERT_OK_AND_ASSIGN(LocalArtifact data,
                       FindFiles(Path("net/epoch 12.safetensors"), v1::DATASET));
  EXPECT_THAT(NamesOf(data), ElementsAre("data.safetensors", "names.json"));
}

TEST_F(LocalFilesTest, ModelSafetensorsIsCalledAfterItsFolder) {
  WriteTensors("digits/model.safetensors", {"a"});
  ASSERT_OK_AND_ASSIGN(LocalArtifact file, FindFiles(Path("digits/model.safetensors"), v1::MODEL));
  EXPECT_EQ(file.name, "digits");
  ASSERT_OK_AND_ASSIGN(LocalArtifact folder, FindFiles(Path("digits/"), v1::MODEL));
  EXPECT_EQ(folder.name, "digits");
}

TEST_F(LocalFilesTest, AFolderBringsWhatBelongsToItsKind) {
  WriteTensors("m/b.safetensors", {"b"});
  WriteTensors("m/a.safetensors", {"a"});
  WriteTensors("m/sub/c.safetensors", {"c"});
  for (const char* name : {"m/config.json", "m/names.json", "m/tokenizer.json", "m/weights.bin"}) {
    Write(name);
  }
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(Path("m"), v1::MODEL));
  EXPECT_THAT(NamesOf(model),
              ElementsAre("a.safetensors", "b.safetensors", "config.json", "names.json"));
  EXPECT_THAT(model.notes, ElementsAre());
  ASSERT_OK_AND_ASSIGN(LocalArtifact data, FindFiles(Path("m"), v1::DATASET));
  EXPECT_THAT(NamesOf(data), ElementsAre("a.safetensors", "b.safetensors", "names.json"));
}

TEST_F(LocalFilesTest, AnIndexChoosesTheShards) {
  WriteTensors("m/s-1.safetensors", {"b", "c"});
  WriteTensors("m/s-2.safetensors", {"a"});
  WriteTensors("m/consolidated.safetensors", {"a", "b", "c"});
  Write(
      "m/model.safetensors.index.json",
      R"({"weight_map": {"a": "s-2.safetensors", "b": "s-1.safetensors", "c": "s-1.safetensors"}})");
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(Path("m"), v1::MODEL));
  EXPECT_THAT(NamesOf(model),
              ElementsAre("model.safetensors.index.json", "s-1.safetensors", "s-2.safetensors"));
  EXPECT_THAT(model.notes, ElementsAre(HasSubstr("passed over: \"consolidated.safetensors\"")));
}

TEST_F(LocalFilesTest, AWholeModelGoesBeforeOldShards) {
  WriteTensors("m/model.safetensors", {"a", "b"});
  WriteTensors("m/s-1.safetensors", {"a"});
  Write("m/model.safetensors.index.json", R"({"weight_map": {"a": "s-1.safetensors"}})");
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(Path("m"), v1::MODEL));
  EXPECT_THAT(NamesOf(model), ElementsAre("model.safetensors"));
  EXPECT_THAT(model.notes, Contains(HasSubstr("\"s-1.safetensors\"")));
  fs::remove(Path("m/s-1.safetensors"));
  ASSERT_OK_AND_ASSIGN(model, FindFiles(Path("m"), v1::MODEL));
  EXPECT_THAT(NamesOf(model), ElementsAre("model.safetensors"));
}

TEST_F(LocalFilesTest, AnIndexNeverLeavesItsFolder) {
  WriteTensors("secret.safetensors", {"a"});
  WriteTensors("m/s-1.safetensors", {"b"});
  Write("m/model.safetensors.index.json",
        R"({"weight_map": {"a": "../secret.safetensors", "b": "s-1.safetensors"}})");
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(Path("m"), v1::MODEL));
  EXPECT_THAT(NamesOf(model), ElementsAre("model.safetensors.index.json", "s-1.safetensors"));
  EXPECT_THAT(model.notes, Contains(HasSubstr("not there: \"../secret.safetensors\"")));
}

TEST_F(LocalFilesTest, TheCacheOfHuggingFaceIsFollowed) {
  WriteTensors("hub/models--org--tiny/blobs/0123", {"a"});
  const fs::path root = Path("hub/models--org--tiny");
  for (const char* revision : {"abc", "def"}) {
    ASSERT_OK(MakeFolders((root / "snapshots" / revision).string()));
    fs::create_symlink("../../blobs/0123", root / "snapshots" / revision / "model.safetensors");
  }
  ASSERT_OK_AND_ASSIGN(LocalArtifact model,
                       FindFiles((root / "snapshots/abc").string(), v1::MODEL));
  EXPECT_EQ(model.name, "org/tiny");
  EXPECT_THAT(NamesOf(model), ElementsAre("model.safetensors"));

  EXPECT_THAT(FindFiles(root.string(), v1::MODEL),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("holds 2 revisions")));
  Write("hub/models--org--tiny/refs/main", "def\n");
  ASSERT_OK_AND_ASSIGN(model, FindFiles(root.string(), v1::MODEL));
  EXPECT_EQ(model.name, "org/tiny");
  EXPECT_EQ(model.files[0].path, (root / "snapshots/def/model.safetensors").string());
  EXPECT_THAT(model.notes, ElementsAre(HasSubstr("revision def")));
  for (const char* wrong : {"gone", "../snapshots/abc", ".", ""}) {
    Write("hub/models--org--tiny/refs/main", wrong);
    EXPECT_THAT(FindFiles(root.string(), v1::MODEL),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("refs/main")))
        << wrong;
  }
}

TEST_F(LocalFilesTest, TheOnlyRevisionOfACacheIsTaken) {
  WriteTensors("models--x/snapshots/abc/model.safetensors", {"a"});
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(Path("models--x"), v1::MODEL));
  EXPECT_EQ(model.files[0].path, Path("models--x/snapshots/abc/model.safetensors"));
  EXPECT_THAT(model.notes, ElementsAre(HasSubstr("the only one")));
}

TEST_F(LocalFilesTest, WhatIsNotThereIsNamed) {
  EXPECT_THAT(FindFiles(Path("none"), v1::MODEL),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(Path("none"))));
  ASSERT_OK(MakeFolders(Path("empty")));
  EXPECT_THAT(
      FindFiles(Path("empty"), v1::MODEL),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("holds no .safetensors file")));
}

TEST_F(LocalFilesTest, AFolderWithoutTensorsSaysWhatItHolds) {
  Write("torch/pytorch_model.bin");
  Write("torch/model.gguf");
  WriteTensors("above/net/model.safetensors", {"a"});
  Write("shards/model.safetensors.index.json", R"({"weight_map": {"a": "s-1.safetensors"}})");
  ASSERT_OK(MakeFolders(Path("broken")));
  fs::create_symlink("../blobs/gone", Path("broken/model.safetensors"));
  const std::pair<const char*, const char*> cases[] = {
      {"torch", "\"model.gguf\", \"pytorch_model.bin\" can't be read: save the tensors as"},
      {"above", "the folders \"net\" in it do"},
      {"shards", "the files that model.safetensors.index.json names are not there"},
      {"broken", "model.safetensors is a link to ../blobs/gone, which is not there"}};
  for (const auto& [folder, part] : cases) {
    EXPECT_THAT(FindFiles(Path(folder), v1::MODEL),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(part)));
  }
}

TEST_F(LocalFilesTest, AResultOfOursIsNoModel) {
  WriteTensors("out/arrays.safetensors", {"eigenvalues"});
  Write("out/run.json", R"({"engine": {}, "notes": {}, "peak_host_bytes": 1, "seconds": 0.5})");
  for (const char* path : {"out", "out/arrays.safetensors"}) {
    EXPECT_THAT(FindFiles(Path(path), v1::MODEL),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("result")))
        << path;
  }
  EXPECT_OK(FindFiles(Path("out/arrays.safetensors"), v1::DATASET));
  // Beside a model it is left out.
  WriteTensors("out/model.safetensors", {"a"});
  ASSERT_OK_AND_ASSIGN(LocalArtifact model, FindFiles(Path("out"), v1::MODEL));
  EXPECT_THAT(NamesOf(model), ElementsAre("model.safetensors"));
  // A model whose file has that name is one.
  WriteTensors("net/arrays.safetensors", {"a"});
  EXPECT_OK(FindFiles(Path("net"), v1::MODEL));
}

}  // namespace
}  // namespace radiograph::cli
