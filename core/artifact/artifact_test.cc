#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/artifact/names.h"
#include "core/artifact/resolve.h"
#include "core/base/digest.h"
#include "core/safetensors/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ResolveTest : public ::testing::Test {
 protected:
  SourceFile File(const std::string& name, const std::string& bytes) {
    std::string path = absl::StrCat(folder_.path(), "/", count_++);
    EXPECT_OK(WriteFile(path, bytes));
    return {name, Sha256Hex(bytes), [path] { return OpenFile(path, O_RDONLY); }};
  }
  // One float32 of shape [1] for each name.
  SourceFile Tensors(const std::string& name, const std::vector<std::string>& tensors) {
    std::string path = absl::StrCat(folder_.path(), "/tensors");
    std::vector<safetensors::TensorSpec> specs;
    for (const std::string& tensor : tensors)
      specs.push_back({tensor, safetensors::DType::kF32, {1}});
    auto writer = safetensors::Writer::Create(path, specs);
    EXPECT_OK(writer);
    EXPECT_OK(writer->Append(std::string(4 * tensors.size(), '\0')));
    EXPECT_OK(writer->Finish());
    return File(name, *ReadFile(path, 1 << 20));
  }

  TemporaryFolder folder_ = *TemporaryFolder::Make();
  int count_ = 0;
};

TEST_F(ResolveTest, ShardsAreOneModelInAnyOrder) {
  SourceFile a = Tensors("a.safetensors", {"x"}), b = Tensors("b.safetensors", {"y"});
  ASSERT_OK_AND_ASSIGN(ResolvedArtifact one, ResolveArtifact(ArtifactKind::kModel, {a, b}, {}));
  ASSERT_OK_AND_ASSIGN(ResolvedArtifact two, ResolveArtifact(ArtifactKind::kModel, {b, a}, {}));
  EXPECT_EQ(one.digest, two.digest);
  ASSERT_EQ(one.header.tensors.size(), 2u);
  EXPECT_EQ(one.header.tensors[1].name, "y");
}

TEST_F(ResolveTest, RolesAreInTheDigestAndMustExist) {
  SourceFile file = Tensors("d.safetensors", {"images", "digits"});
  ASSERT_OK_AND_ASSIGN(ResolvedArtifact plain, ResolveArtifact(ArtifactKind::kDataset, {file}, {}));
  ASSERT_OK_AND_ASSIGN(ResolvedArtifact with,
                       ResolveArtifact(ArtifactKind::kDataset, {file}, {{"inputs", "images"}}));
  EXPECT_NE(plain.digest, with.digest);
  EXPECT_EQ(with.header.Role("inputs")->name, "images");
  EXPECT_THAT(ResolveArtifact(ArtifactKind::kDataset, {file}, {{"inputs", "image"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nearest: images")));
}

TEST_F(ResolveTest, RefusesWhatIsNoModel) {
  SourceFile good = Tensors("model.safetensors", {"x"});
  struct Case {
    const char* what;
    std::vector<SourceFile> files;
    const char* message;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"nothing", {}, "no *.safetensors file"},
           {"a pickle by name", {good, File("model.pt", "x")}, "\"model.pt\" has no place"},
           {"a pickle renamed",
            {File("model.safetensors", std::string("\x80\x02}q\x01.", 6))},
            "model.safetensors"},
           {"a path", {good, File("../names.json", "{}")}, "has no place"},
           {"one name twice", {good, good}, "appears twice"},
           {"one tensor twice",
            {Tensors("a.safetensors", {"x"}), Tensors("b.safetensors", {"x"})},
            "\"x\" is in a.safetensors and in b"},
           {"names.json with numbers",
            {good, File("names.json", R"({"classes":[1]})")},
            "classes[0] is number"},
       }) {
    EXPECT_THAT(ResolveArtifact(ArtifactKind::kModel, c.files, {}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.what;
  }
}

TEST(ParseNames, ReadsTheThreeLists) {
  ASSERT_OK_AND_ASSIGN(Names names, ParseNames(R"({"classes":["zero","<b>"],"rows":[]})"));
  EXPECT_THAT(names.classes, ElementsAre("zero", "<b>"));
  EXPECT_TRUE(names.tokens.empty());
}

TEST(ParseNames, RefusesLongAndUnknown) {
  EXPECT_THAT(ParseNames(absl::StrCat("{\"rows\":[\"", std::string(2000, 'a'), "\"]}")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2000 bytes")));
  EXPECT_THAT(ParseNames(R"({"labels":[]})"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unknown key \"labels\"")));
}

}  // namespace
}  // namespace radiograph
