#include "client/cli/series.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/safetensors/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;

class SeriesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(TemporaryFolder folder, TemporaryFolder::Make());
    folder_.emplace(std::move(folder));
  }
  std::string Path(absl::string_view name) const {
    return absl::StrCat(folder_->path(), "/", name);
  }
  // A file of one tensor.
  void Write(absl::string_view name, absl::string_view step = "",
             const std::string& tensor = "head.weight") {
    ASSERT_OK(MakeFolders(fs::path(Path(name)).parent_path().string()));
    std::map<std::string, std::string> metadata;
    if (!step.empty()) metadata["step"] = std::string(step);
    ASSERT_OK_AND_ASSIGN(safetensors::Writer writer,
                         safetensors::Writer::Create(
                             Path(name), {{tensor, safetensors::DType::kF32, {1}}}, metadata));
    ASSERT_OK(writer.Append(std::string(4, '\0')));
    ASSERT_OK(writer.Finish());
  }
  // "path step", relative to the test's folder; "path" of a path that is one model.
  absl::StatusOr<std::vector<std::string>> Find(absl::string_view path, bool list = true) {
    absl::StatusOr<std::vector<SeriesModel>> series = FindSeries(Path(path), v1::MODEL, list);
    if (!series.ok()) return series.status();
    std::vector<std::string> texts;
    for (const SeriesModel& model : *series) {
      texts.push_back(model.path.substr(folder_->path().size() + 1));
      if (model.step.has_value()) absl::StrAppend(&texts.back(), " ", *model.step);
    }
    return texts;
  }
  std::optional<TemporaryFolder> folder_;
};

TEST_F(SeriesTest, MetadataGoesBeforeNames) {
  Write("run/a9.safetensors", "100");
  Write("run/b8.safetensors", "20");
  Write("run/c7.safetensors", "3");
  EXPECT_THAT(*Find("run"), ElementsAre("run/c7.safetensors 3", "run/b8.safetensors 20",
                                        "run/a9.safetensors 100"));
}

TEST_F(SeriesTest, ElseTheLastNumberInTheName) {
  Write("run/lr0.1-step100.safetensors", "5");  // not all tell their step
  Write("run/lr0.1-step20.safetensors");
  EXPECT_THAT(*Find("run"),
              ElementsAre("run/lr0.1-step20.safetensors 20", "run/lr0.1-step100.safetensors 100"));
}

TEST_F(SeriesTest, AGlobTakesWhatItMatches) {
  Write("run/step-10.safetensors");
  Write("run/step-9.safetensors");
  Write("run/final.safetensors");
  ASSERT_OK(WriteFile(Path("run/step-9.names.json"), "{}"));
  EXPECT_THAT(*Find("run/step-*"),
              ElementsAre("run/step-9.safetensors 9", "run/step-10.safetensors 10"));
  EXPECT_EQ(SeriesName(Path("run/step-*")), "run");
  EXPECT_EQ(SeriesName(Path("run/")), "run");
  EXPECT_THAT(Find("run/none-*"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none-*")));
}

TEST_F(SeriesTest, AFolderOfFoldersIsASeriesToo) {
  Write("run/checkpoint-1000/model.safetensors");
  Write("run/checkpoint-200/model.safetensors");
  ASSERT_OK(MakeFolders(Path("run/logs-3")));
  const auto ordered = ElementsAre("run/checkpoint-200 200", "run/checkpoint-1000 1000");
  EXPECT_THAT(*Find("run"), ordered);
  EXPECT_THAT(*Find("run/*/model.safetensors"),
              ElementsAre("run/checkpoint-200/model.safetensors 200",
                          "run/checkpoint-1000/model.safetensors 1000"));
}

TEST_F(SeriesTest, TheLinksOfAHuggingFaceCacheAreFollowed) {
  for (const char* step : {"1000", "2"}) {
    Write(absl::StrCat("cache/blobs/", step), step);
    const fs::path snapshot = Path(absl::StrCat("cache/snapshots/", std::string(40, step[0])));
    ASSERT_OK(MakeFolders(snapshot.string()));
    fs::create_symlink(absl::StrCat("../../blobs/", step), snapshot / "model.safetensors");
  }
  EXPECT_THAT(*Find("cache/snapshots"),
              ElementsAre(absl::StrCat("cache/snapshots/", std::string(40, '2'), " 2"),
                          absl::StrCat("cache/snapshots/", std::string(40, '1'), " 1000")));
}

TEST_F(SeriesTest, OneModelIsNoSeries) {
  Write("one/model.safetensors");
  Write("shards/a-1.safetensors", "", "a");
  Write("shards/a-2.safetensors", "", "b");
  Write("said/a-1.safetensors");
  Write("said/a-2.safetensors");
  ASSERT_OK(WriteFile(Path("said/config.json"), "{}"));
  Write("whole/model.safetensors");
  Write("whole/checkpoint-2.safetensors");
  for (const char* path : {"one", "one/model.safetensors", "shards", "said", "whole"}) {
    EXPECT_THAT(*Find(path), ElementsAre(path));
    EXPECT_THAT(*Find(path, /*list=*/false), ElementsAre(path));
  }
}

TEST_F(SeriesTest, WhatHasNoOrderIsRefused) {
  Write("run/best.safetensors");
  Write("run/step-2.safetensors");
  EXPECT_THAT(Find("run"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(Path("run/best.safetensors")), HasSubstr("`step`"),
                             HasSubstr("one by one in the order you mean"))));
  Write("hashes/0123456789012345678901234567890123456789/model.safetensors");
  Write("hashes/1123456789012345678901234567890123456789/model.safetensors");
  EXPECT_THAT(Find("hashes"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0123456789")));
  Write("twice/a-2.safetensors");
  Write("twice/b-02.safetensors");
  EXPECT_THAT(Find("twice"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("are both step 2")));
}

TEST_F(SeriesTest, WhereOneModelIsTakenASeriesIsRefused) {
  Write("run/1.safetensors");
  Write("run/2.safetensors");
  EXPECT_THAT(Find("run", /*list=*/false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("stands for 2 models"), HasSubstr("1 is taken here"))));
}

}  // namespace
}  // namespace radiograph::cli
