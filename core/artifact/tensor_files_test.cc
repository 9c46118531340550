#include "core/artifact/tensor_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/artifact/resolve.h"
#include "core/safetensors/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class TensorFilesTest : public ::testing::Test {
 protected:
  SourceFile File(const std::string& name, const std::string& bytes) {
    const std::string path = absl::StrCat(folder_.path(), "/", count_++);
    EXPECT_OK(WriteFile(path, bytes));
    return {name, "", [path] { return OpenFile(path, O_RDONLY); }};
  }
  SourceFile Tensors(const std::string& name, const std::vector<std::string>& tensors,
                     const std::map<std::string, std::string>& metadata = {}) {
    const std::string path = absl::StrCat(folder_.path(), "/", count_++);
    std::vector<safetensors::TensorSpec> specs;
    for (const std::string& tensor : tensors)
      specs.push_back({tensor, safetensors::DType::kF32, {1}});
    auto writer = safetensors::Writer::Create(path, specs, metadata);
    EXPECT_OK(writer);
    EXPECT_OK(writer->Append(std::string(4 * tensors.size(), '\0')));
    EXPECT_OK(writer->Finish());
    return {name, "", [path] { return OpenFile(path, O_RDONLY); }};
  }
  SourceFile Index(const std::string& weight_map) {
    return File(kIndexFile, absl::StrCat(R"({"weight_map": {)", weight_map, "}}"));
  }
  TensorFiles Read(const std::vector<SourceFile>& files) {
    absl::StatusOr<TensorFiles> read = ReadTensorFiles(ArtifactKind::kModel, files);
    EXPECT_OK(read);
    return read.ok() ? *std::move(read) : TensorFiles();
  }

  TemporaryFolder folder_ = *TemporaryFolder::Make();
  int count_ = 0;
};

TEST_F(TensorFilesTest, TheWholeModelGoesBeforeAnIndexThatDoesNotNameIt) {
  const TensorFiles read =
      Read({Tensors("model.safetensors", {"x", "y"}), Tensors("s-1.safetensors", {"x"}),
            Tensors("s-2.safetensors", {"y"}),
            Index(R"("x": "s-1.safetensors", "y": "s-2.safetensors")")});
  EXPECT_THAT(read.file_of,
              ElementsAre(Pair("x", "model.safetensors"), Pair("y", "model.safetensors")));
  EXPECT_THAT(read.passed_over, ElementsAre("s-1.safetensors", "s-2.safetensors", kIndexFile));
  EXPECT_THAT(absl::StrJoin(read.notes, " "),
              AllOf(HasSubstr("model.safetensors is read"), HasSubstr("\"s-1.safetensors\"")));
}

TEST_F(TensorFilesTest, TheWholeModelIsReadWhereTheShardsAreGone) {
  const TensorFiles read =
      Read({Tensors("model.safetensors", {"x"}), Index(R"("x": "s-1.safetensors")")});
  EXPECT_THAT(read.file_of, ElementsAre(Pair("x", "model.safetensors")));
  EXPECT_THAT(read.missing, IsEmpty());
}

TEST_F(TensorFilesTest, FilesThatTheIndexDoesNotNameArePassedOver) {
  const TensorFiles read =
      Read({Tensors("consolidated.safetensors", {"x"}), Tensors("s-1.safetensors", {"x"}),
            Index(R"("x": "s-1.safetensors")")});
  EXPECT_THAT(read.file_of, ElementsAre(Pair("x", "s-1.safetensors")));
  EXPECT_THAT(read.passed_over, ElementsAre("consolidated.safetensors"));
}

TEST_F(TensorFilesTest, AnIndexThatDoesNotMatchIsNoted) {
  const TensorFiles read =
      Read({Tensors("a.safetensors", {"x", "extra"}), Tensors("b.safetensors", {"y"}),
            Index(R"("x": "b.safetensors", "y": "b.safetensors", "mtp": "a.safetensors",
                     "z": "c.safetensors")")});
  EXPECT_THAT(read.file_of, ElementsAre(Pair("extra", "a.safetensors"), Pair("x", "a.safetensors"),
                                        Pair("y", "b.safetensors")));
  EXPECT_THAT(read.missing, ElementsAre("mtp", "z"));
  EXPECT_THAT(
      read.notes,
      UnorderedElementsAre(HasSubstr("not there: \"c.safetensors\""),
                           HasSubstr("no file holds: \"mtp\", \"z\""),
                           HasSubstr("another file than model.safetensors.index.json says: \"x\""),
                           HasSubstr("leaves out are read all the same: \"extra\"")));
}

TEST_F(TensorFilesTest, TheIndexDecidesBetweenTwoFiles) {
  const auto a = Tensors("a.safetensors", {"x"}), b = Tensors("b.safetensors", {"x", "y"});
  const TensorFiles read =
      Read({a, b, Index(R"("x": "b.safetensors", "y": "b.safetensors", "w": "a.safetensors")")});
  EXPECT_EQ(read.file_of.at("x"), "b.safetensors");
  EXPECT_THAT(read.notes, Contains(HasSubstr("decides: \"x\"")));
  EXPECT_THAT(ReadTensorFiles(ArtifactKind::kModel, {{a, b}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two models")));
}

// Copies, averages and adapters lie beside a model; common loaders look at none of them.
TEST_F(TensorFilesTest, WithoutAnIndexTheWholeModelIsReadAlone) {
  const SourceFile whole = Tensors("model.safetensors", {"x"});
  for (const SourceFile& beside :
       {Tensors("consolidated.safetensors", {"x", "z"}), Tensors("ema.safetensors", {"ema.x"}),
        Tensors("adapter_model.safetensors", {"lora_A.x"}), File("old.safetensors", "broken")}) {
    const TensorFiles read = Read({beside, whole});
    EXPECT_THAT(read.file_of, ElementsAre(Pair("x", "model.safetensors")));
    EXPECT_THAT(read.passed_over, ElementsAre(beside.name));
    EXPECT_THAT(read.notes, ElementsAre(HasSubstr(beside.name)));
  }
}

TEST_F(TensorFilesTest, OfADataSetAllFilesAreRead) {
  const std::vector<SourceFile> files = {Tensors("labels.safetensors", {"labels"}),
                                         Tensors("model.safetensors", {"inputs"})};
  ASSERT_OK_AND_ASSIGN(const TensorFiles read, ReadTensorFiles(ArtifactKind::kDataset, files));
  EXPECT_EQ(read.file_of.size(), 2);
}

TEST_F(TensorFilesTest, AnIndexThatCannotBeReadIsNoted) {
  for (const char* text : {"{", "[]", R"({"weight_map": 3})", R"({"weight_map": {"x": 1}})", ""}) {
    const TensorFiles read = Read({Tensors("a.safetensors", {"x"}), File(kIndexFile, text)});
    EXPECT_THAT(read.file_of, ElementsAre(Pair("x", "a.safetensors"))) << text;
    EXPECT_THAT(read.notes, ElementsAre(HasSubstr("was not understood"))) << text;
  }
}

TEST_F(TensorFilesTest, SecondNamesAreNames) {
  const TensorFiles read = Read({Tensors("model.safetensors", {"blocks.0.weight", "head.weight"},
                                         {{"blocks.1.weight", "blocks.0.weight"},
                                          {"format", "pt"},
                                          {"head.weight", "blocks.0.weight"},
                                          {"step", "7"}})});
  ASSERT_EQ(read.tensors.size(), 3u);
  EXPECT_EQ(read.tensors[1].name, "blocks.1.weight");
  EXPECT_EQ(read.tensors[1].same_as, "blocks.0.weight");
  EXPECT_EQ(read.tensors[1].begin, read.tensors[0].begin);
}

TEST_F(TensorFilesTest, AcrossShardsAnOwnNameGoesBeforeASecondOne) {
  const auto a = Tensors("a.safetensors", {"x"}, {{"y", "x"}}), b = Tensors("b.safetensors", {"y"});
  for (const auto& files : {std::vector{a, b}, std::vector{b, a}}) {
    const TensorFiles read = Read(files);
    EXPECT_EQ(read.file_of.at("y"), "b.safetensors");
    EXPECT_EQ(read.tensors[1].same_as, "");
  }
}

TEST_F(TensorFilesTest, AModelTellsWhatItTook) {
  const SourceFile file =
      Tensors("model.safetensors", {"module.blocks.0.weight", "module.head.weight"},
              {{"module.blocks.2.weight", "module.blocks.0.weight"}});
  ASSERT_OK_AND_ASSIGN(
      const ResolvedArtifact model,
      ResolveArtifact(ArtifactKind::kModel, {{file, File("config.json", "{")}}, {}));
  EXPECT_EQ(model.header.architecture.family, "bilinear");
  EXPECT_THAT(model.notes,
              UnorderedElementsAre(HasSubstr("module.blocks.2.weight for module.blocks.0"),
                                   HasSubstr("\"module.\""), HasSubstr("0, 2 are"),
                                   HasSubstr("config.json")));
}

// A file of one tensor of a byte, whose entry begins with `more`.
std::string OneByte(const std::string& tensor, const std::string& more) {
  const std::string json =
      absl::StrCat("{\"", tensor, "\":{", more, R"("shape":[],"data_offsets":[0,1]}})");
  return absl::StrCat(std::string(1, static_cast<char>(json.size())), std::string(7, '\0'), json,
                      "x");
}

TEST_F(TensorFilesTest, NotesOfHeadersAreToldOnce) {
  const std::string stride = R"("dtype":"U8","stride":1,)", fresh = R"("dtype":"NEW",)";
  EXPECT_THAT(Read({File("model.safetensors", OneByte("a", stride))}).notes,
              ElementsAre("Keys of tensors that are not read: \"stride\"."));
  const TensorFiles read =
      Read({File("1.safetensors", OneByte("a", stride)), File("2.safetensors", OneByte("b", fresh)),
            File("3.safetensors", OneByte("c", stride)), Tensors("4.safetensors", {"d"})});
  EXPECT_THAT(read.notes,
              ElementsAre(HasSubstr("not known: \"NEW\"; the sizes of their tensors are what the "
                                    "offsets say. So in \"2.safetensors\"."),
                          HasSubstr("\"stride\". So in \"1.safetensors\", \"3.safetensors\".")));
  std::vector<SourceFile> many;
  for (int i = 0; i < 20; ++i) {
    many.push_back(
        File(absl::StrCat(i, ".safetensors"),
             OneByte(absl::StrCat("t", i), absl::StrCat("\"k", i, "\":0,\"dtype\":\"U8\","))));
  }
  EXPECT_EQ(Read(many).notes.size(), 8u);
}

TEST_F(TensorFilesTest, AnIndexOfPythonMayHoldNaN) {
  for (const char* extra : {"NaN", "[Infinity, {\"x\": -Infinity}]"}) {
    const TensorFiles read =
        Read({Tensors("s-1.safetensors", {"x"}), Tensors("old.safetensors", {"x"}),
              File(kIndexFile, absl::StrCat(R"({"metadata": {"total": )", extra,
                                            R"(}, "weight_map": {"x": "s-1.safetensors"}})"))});
    EXPECT_THAT(read.file_of, ElementsAre(Pair("x", "s-1.safetensors"))) << extra;
    EXPECT_THAT(read.passed_over, ElementsAre("old.safetensors"));
  }
}

}  // namespace
}  // namespace radiograph
