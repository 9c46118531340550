#include "client/cli/out_folder.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/cli/exit_code.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr char kRun[] = R"({"engine":{},"notes":{},"peak_host_bytes":1,"seconds":0.5})";

class OutFolderTest : public ::testing::Test {
 protected:
  std::string Path(absl::string_view name) const { return absl::StrCat(folder_.path(), "/", name); }
  void Write(absl::string_view name, absl::string_view bytes = "mine") {
    const std::string path = Path(name);
    ASSERT_OK(MakeFolders(fs::path(path).parent_path().string()));
    ASSERT_OK(WriteFile(path, bytes));
  }
  std::string Read(absl::string_view name) const {
    return ReadFile(Path(name), 1 << 20).value_or("nothing");
  }
  std::vector<std::string> Below(absl::string_view name) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(Path(name))) {
      if (!entry.is_directory() || entry.is_symlink()) {
        names.push_back(entry.path().lexically_relative(Path(name)).string());
      }
    }
    return names;
  }

  // A result with these figures, the other files made of `text`, goes to `name`.
  absl::Status Keep(absl::string_view name, absl::string_view text,
                    const std::vector<std::string>& figures, const OutOptions& options = {}) {
    absl::StatusOr<OutFolder> out = OutFolder::Make(Path(name), options);
    if (!out.ok()) return out.status();
    const std::string bundle = out->staging() + "/bundle";
    EXPECT_OK(MakeFolders(bundle + "/figures"));
    for (const char* file : {"result.json", "arrays.safetensors", "report.html"}) {
      EXPECT_OK(WriteFile(absl::StrCat(bundle, "/", file), text));
    }
    for (const std::string& figure : figures) {
      EXPECT_OK(WriteFile(absl::StrCat(bundle, "/figures/", figure), text));
    }
    EXPECT_OK(WriteFile(bundle + "/run.json", kRun));
    return out->Keep(bundle).status();
  }
  void ExpectRefused(const absl::Status& status, absl::string_view what) {
    EXPECT_EQ(ExitCodeOf(status), ExitCode::kUsage) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(what)));
  }

  TemporaryFolder folder_ = TemporaryFolder::Make().value();
};

TEST_F(OutFolderTest, ANewResultTakesThePlaceOfTheOldOneAndOfNothingElse) {
  ASSERT_OK(Keep("out", "old", {"a.json", "b.json"}));
  Write("out/notes.txt");
  Write("out/figures/thesis.svg");
  Write("out/deep/er/model.safetensors");
  ASSERT_OK(Keep("out", "new", {"b.json", "c.json"}));
  EXPECT_THAT(Below("out"),
              UnorderedElementsAre("arrays.safetensors", "deep/er/model.safetensors",
                                   "figures/b.json", "figures/c.json", "figures/thesis.svg",
                                   "notes.txt", "report.html", "result.json", "run.json"));
  EXPECT_EQ(Read("out/result.json"), "new");
  EXPECT_EQ(Read("out/figures/b.json"), "new");
  EXPECT_EQ(Read("out/notes.txt"), "mine");
  ASSERT_OK(Keep("out", "newer", {}));
  EXPECT_THAT(Below("out/figures"), UnorderedElementsAre("thesis.svg"));
  EXPECT_TRUE(IsResultFolder(Path("out")));
}

TEST_F(OutFolderTest, WithoutAPathNothingIsLeft) {
  std::string staging;
  {
    ASSERT_OK_AND_ASSIGN(OutFolder out, OutFolder::Make(""));
    staging = out.staging();
    EXPECT_FALSE(out.kept());
    EXPECT_TRUE(fs::exists(staging));
  }
  EXPECT_FALSE(fs::exists(staging));
}

TEST_F(OutFolderTest, AFolderThatWasMadeForNothingIsGoneAgain) {
  { ASSERT_OK(OutFolder::Make(Path("made"))); }
  EXPECT_FALSE(fs::exists(Path("made")));
  ASSERT_OK(MakeFolders(Path("there")));
  { ASSERT_OK(OutFolder::Make(Path("there"))); }
  EXPECT_TRUE(fs::exists(Path("there")));
}

TEST_F(OutFolderTest, WhatIsNotOursIsNamedAndStaysAsItIs) {
  for (const char* file :
       {"report.html", "figures/thesis.svg", ".hidden", "m.safetensors", "deep/er/x", "result.json",
        "run.json", "radiograph-abcdef/job/job.json"}) {
    const std::string folder = absl::StrCat("of-", Sha256Hex(file).substr(0, 8));
    Write(absl::StrCat(folder, "/", file));
    ExpectRefused(Keep(folder, "new", {"a.json"}), fs::path(file).begin()->string());
    EXPECT_THAT(Below(folder), UnorderedElementsAre(file));
    EXPECT_EQ(Read(absl::StrCat(folder, "/", file)), "mine") << file;
  }
  for (int i = 0; i < 9; ++i) Write(absl::StrCat("many/", i));
  ExpectRefused(Keep("many", "new", {}), "holds 0, 1, 2, 3, 4 and 4 more;");
}

// run.json is a common name: another program's is no sign, nor is ours without a list.
TEST_F(OutFolderTest, ARunJsonOfOthersIsNoSign) {
  for (const std::string run :
       {R"({"engine":"x","files":{"thesis.tex":"y"}})", "[]", "", R"({"files":{}})", kRun}) {
    Write("out/run.json", run);
    Write("out/thesis.tex");
    ExpectRefused(Keep("out", "new", {}), "run.json");
    EXPECT_EQ(IsResultFolder(Path("out")), run == kRun) << run;
  }
}

TEST_F(OutFolderTest, ForceReplacesFilesOfTheSameNamesOnly) {
  for (const char* file :
       {"report.html", "figures/a.json", "figures/thesis.svg", "m.safetensors"}) {
    Write(absl::StrCat("out/", file));
  }
  ASSERT_OK(Keep("out", "new", {"a.json"}, {.force = true}));
  EXPECT_EQ(Read("out/report.html"), "new");
  EXPECT_EQ(Read("out/figures/a.json"), "new");
  EXPECT_EQ(Read("out/figures/thesis.svg"), "mine");
  EXPECT_EQ(Read("out/m.safetensors"), "mine");
  ASSERT_OK(Keep("out", "newer", {})) << "it is ours by now";
  EXPECT_EQ(Read("out/figures/a.json"), "nothing");
  EXPECT_EQ(Read("out/figures/thesis.svg"), "mine");
}

TEST_F(OutFolderTest, AFileOfOursThatWasChangedIsTheUsersNow) {
  for (const char* file :
       {"report.html", "result.json", "arrays.safetensors", "figures/a.json", "run.json"}) {
    const std::string folder = absl::StrCat("of-", Sha256Hex(file).substr(0, 8));
    ASSERT_OK(Keep(folder, "old", {"a.json"}));
    std::string text = Read(absl::StrCat(folder, "/", file));
    const size_t at = text.find("0.5");
    text = at == text.npos ? text + "!" : text.replace(at, 3, "0.7");
    Write(absl::StrCat(folder, "/", file), text);
    ExpectRefused(Keep(folder, "new", {"a.json"}), file);
    EXPECT_EQ(Read(absl::StrCat(folder, "/", file)), text);
    ASSERT_OK(Keep(folder, "new", {"a.json"}, {.force = true}));
    EXPECT_NE(Read(absl::StrCat(folder, "/", file)), text);
  }
}

// The figures of a result are known at its end only: the work is not lost for a name.
TEST_F(OutFolderTest, AResultThatMeetsAFileOfTheUserAtTheEndIsLeftBesideIt) {
  ASSERT_OK(Keep("out", "old", {"a.json"}));
  Write("out/figures/b.json");
  const absl::Status status = Keep("out", "new", {"a.json", "b.json"});
  ExpectRefused(status, "figures/b.json");
  EXPECT_EQ(Read("out/figures/b.json"), "mine");
  EXPECT_EQ(Read("out/result.json"), "old");
  const std::string message(status.message());
  const std::string left = message.substr(message.rfind(' ') + 1);
  EXPECT_EQ(ReadFile(left + "/figures/b.json", 10).value(), "new");
}

TEST_F(OutFolderTest, LinksLeadNowhereElse) {
  Write("elsewhere/a.json", "old");
  Write("elsewhere/result.json");
  ASSERT_OK(MakeFolders(Path("out")));
  ASSERT_EQ(symlink(Path("elsewhere").c_str(), Path("out/figures").c_str()), 0);
  ExpectRefused(Keep("out", "new", {"a.json"}), "holds figures");
  ExpectRefused(Keep("out", "new", {"a.json"}, {.force = true}), "out/figures is in the way");
  // The same when the place of our own folder has become a link, to the same bytes.
  ASSERT_OK(Keep("ours", "old", {"a.json"}));
  fs::remove_all(Path("ours/figures"));
  ASSERT_EQ(symlink(Path("elsewhere").c_str(), Path("ours/figures").c_str()), 0);
  ExpectRefused(Keep("ours", "new", {}), "ours/figures is in the way");
  EXPECT_EQ(Read("elsewhere/a.json"), "old");
  // A link in the place of a file: never written through.
  ASSERT_OK(MakeFolders(Path("linked")));
  ASSERT_EQ(symlink(Path("elsewhere/result.json").c_str(), Path("linked/result.json").c_str()), 0);
  ExpectRefused(Keep("linked", "new", {}), "result.json");
  ASSERT_OK(Keep("linked", "new", {}, {.force = true}));
  EXPECT_EQ(Read("linked/result.json"), "new");
  EXPECT_EQ(Read("elsewhere/result.json"), "mine");
  // A folder in the place of a file.
  Write("folders/result.json/x");
  ExpectRefused(Keep("folders", "new", {}, {.force = true}), "folders/result.json is in the way");
  EXPECT_EQ(Read("folders/result.json/x"), "mine");
}

TEST_F(OutFolderTest, AListOfOthersNamesNoFileElsewhere) {
  Write("thesis.tex");
  Write("out/run.json",
        absl::StrCat(R"({"engine":{},"files":{"../thesis.tex":")", Sha256Hex("mine"),
                     R"(","run.json":")", RunDigest(kRun).value(), R"("},)",
                     R"("notes":{},"peak_host_bytes":1,"seconds":0.5})"));
  ASSERT_OK(Keep("out", "new", {}));
  EXPECT_EQ(Read("thesis.tex"), "mine");
}

TEST_F(OutFolderTest, TheFolderOfAnInputIsNeverWrittenInto) {
  Write("project/m.safetensors");
  Write("project/deep/er/n.safetensors");
  Write("cache/blobs/b");
  ASSERT_OK(MakeFolders(Path("cache/snapshots/1")));
  ASSERT_EQ(symlink(Path("cache/blobs/b").c_str(), Path("cache/snapshots/1/m.safetensors").c_str()),
            0);
  ASSERT_EQ(symlink(Path("project").c_str(), Path("alias").c_str()), 0);
  struct Case {
    const char *input, *out;
  };
  for (const Case& c : std::vector<Case>{{"project/m.safetensors", "project"},
                                         {"project", "project"},
                                         {"project/", "project/."},
                                         {"alias/m.safetensors", "project"},
                                         {"project/m.safetensors", "alias"},
                                         {"project/deep/er/n.safetensors", "project"},
                                         {"project/*.safetensors", "project"},
                                         {"cache/snapshots/1", "cache/snapshots/1"},
                                         {"cache/snapshots/1/m.safetensors", "cache/blobs"},
                                         {"cache/snapshots/1", "cache/blobs"},
                                         {"cache/snapshots/1", "cache/snapshots/1/../../blobs"},
                                         {"cache/snapshots/1", "cache"}}) {
    const OutOptions options{.force = true, .inputs = InputPaths({{"model", Path(c.input)}})};
    ExpectRefused(Keep(c.out, "new", {}, options), "is the folder of the input");
  }
  const OutOptions options{.inputs = InputPaths({{"model", Path("project/m.safetensors")}})};
  EXPECT_OK(Keep("project/out", "new", {}, options));
  EXPECT_OK(Keep("project-2", "new", {}, options));
  Write("runs/step-1/m.safetensors");
  ASSERT_OK(Keep("runs/out", "old", {}));
  const OutOptions series{.force = true, .inputs = InputPaths({{"models", Path("runs")}})};
  EXPECT_OK(Keep("runs/out", "new", {}, series)) << "a result is no model of the series";
  ExpectRefused(Keep("runs/step-1", "new", {}, series), "is the folder of the input");
}

TEST_F(OutFolderTest, PulledFilesTakeNothingElsesPlace) {
  const FileDigests files = {{"config.json", Sha256Hex("c")},
                             {"sub/m.safetensors", Sha256Hex("m")}};
  auto pull = [&](absl::string_view folder, bool force = false) -> absl::Status {
    absl::StatusOr<OutFolder> out = OutFolder::MakeFor(Path(folder), files, {.force = force});
    if (!out.ok()) return out.status();
    const std::string from = out->staging() + "/files";
    EXPECT_OK(MakeFolders(from + "/sub"));
    for (const auto& [name, bytes] : {std::pair("config.json", "c"), {"sub/m.safetensors", "m"}}) {
      if (!out->Lacks(name)) continue;
      EXPECT_OK(WriteFile(absl::StrCat(from, "/", name), bytes));
    }
    return out->KeepFiles(from);
  };
  ASSERT_OK(pull("net"));
  ASSERT_OK(pull("net")) << "the same bytes are no obstacle";
  fs::remove(Path("net/config.json"));
  ASSERT_OK(pull("net")) << "nor is a part of them";
  EXPECT_EQ(Read("net/config.json"), "c");
  Write("net/config.json");
  ExpectRefused(pull("net"), "net holds config.json;");
  EXPECT_EQ(Read("net/config.json"), "mine");
  Write("net/sub/other.safetensors");
  ASSERT_OK(pull("net", /*force=*/true));
  EXPECT_EQ(Read("net/config.json"), "c");
  EXPECT_EQ(Read("net/sub/other.safetensors"), "mine");
  ExpectRefused(pull("net"), "net holds sub/;");
  Write("hf/README.md");
  ExpectRefused(pull("hf"), "hf holds README.md;");
  EXPECT_THAT(Below("hf"), UnorderedElementsAre("README.md"));
}

TEST_F(OutFolderTest, AFileOfTheUsersChoiceIsReplacedOnlyWhenToldSo) {
  ASSERT_OK(WriteOutFile(Path("r.html"), "new", {}));
  ASSERT_OK(WriteOutFile(Path("r.html"), "new", {})) << "the same bytes";
  Write("empty.html", "");
  ASSERT_OK(WriteOutFile(Path("empty.html"), "new", {}));
  Write("thesis.html");
  ASSERT_EQ(symlink(Path("thesis.html").c_str(), Path("link.html").c_str()), 0);
  for (const char* name : {"thesis.html", "link.html"}) {
    ExpectRefused(WriteOutFile(Path(name), "new", {}), name);
    EXPECT_EQ(Read("thesis.html"), "mine");
  }
  ASSERT_OK(WriteOutFile(Path("link.html"), "new", {.force = true}));
  EXPECT_TRUE(fs::is_symlink(Path("link.html")));
  EXPECT_EQ(Read("thesis.html"), "new");
  ExpectRefused(WriteOutFile(Path(""), "new", {.force = true}), "is a folder");
  Write("result.json");
  ExpectRefused(
      WriteOutFile(Path("result.json"), "new", {.force = true, .inputs = {Path("result.json")}}),
      "is what is read");
  EXPECT_EQ(Read("result.json"), "mine");
  EXPECT_OK(WriteOutFile("/dev/null", "new", {}));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  struct stat info;
  ASSERT_EQ(stat(Path("r.html").c_str(), &info), 0);
  EXPECT_NE(info.st_mode & S_IROTH, 0u) << "as a file that others may read";
}

TEST_F(OutFolderTest, AReportOfAResultIsOfTheResult) {
  ASSERT_OK(Keep("out", "old", {"a.json"}));
  ASSERT_OK(AddToResult(Path("out"), "report.html", "better", false));
  EXPECT_EQ(Read("out/report.html"), "better");
  ASSERT_OK(Keep("out", "new", {"a.json"})) << "the list knows it";
  Write("out/report.html");
  ExpectRefused(AddToResult(Path("out"), "report.html", "better", false), "report.html");
  EXPECT_EQ(Read("out/report.html"), "mine");
  ASSERT_OK(AddToResult(Path("out"), "report.html", "better", true));
  ASSERT_OK(Keep("out", "new", {"a.json"}));
  // A result without a list, as other clients leave it.
  Write("bare/run.json", kRun);
  ASSERT_OK(AddToResult(Path("bare"), "report.html", "new", false));
  EXPECT_EQ(Read("bare/run.json"), kRun);
}

}  // namespace
}  // namespace radiograph::cli
