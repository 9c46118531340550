#include "core/process/job_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/digest.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

JobRequest Sample() {
  JobRequest request;
  request.analysis = "bilinear.spectrum";
  request.version = 2;
  request.seed = (int64_t{1} << 53) - 1;
  request.params = {{"k", int64_t{20}},
                    {"tau", 0.5},
                    {"space", std::string("input")},
                    {"layers", std::vector<int64_t>{0, 2}},
                    {"tensors", std::map<std::string, std::string>{{"l", "blocks.0.l"}}},
                    {"labels", std::vector<std::string>{"a", "b"}},
                    {"exact", true},
                    {"rank", std::monostate()}};
  JobInput model{
      .kind = "MODEL", .digest = Sha256Hex("digest"), .files = {}, .architecture = {}, .roles = {}};
  model.files = {{"model.safetensors", Sha256Hex("weights")}, {"names.json", Sha256Hex("names")}};
  model.architecture.family = "bilinear";
  model.architecture.config = {{"d_model", 64}};
  JobInput data{
      .kind = "DATASET", .digest = Sha256Hex("d"), .files = {}, .architecture = {}, .roles = {}};
  data.files = {{"test.safetensors", Sha256Hex("weights")}};
  data.roles = {{"inputs", "x"}};
  request.inputs = {{"model", {model}}, {"data", {data, data}}};
  request.planned_memory_bytes = 1 << 20;
  request.memory_help = "a smaller k";
  return request;
}

TEST(JobRequest, SurvivesItsText) {
  JobRequest request = Sample();
  ASSERT_OK_AND_ASSIGN(JobRequest got, JobRequest::Parse(request.ToJsonText()));
  EXPECT_EQ(got.ToJsonText(), request.ToJsonText());
  EXPECT_EQ(got.planned_memory_bytes, 1 << 20);
  EXPECT_EQ(got.memory_help, "a smaller k");
  EXPECT_EQ(got.analysis, request.analysis);
  EXPECT_EQ(got.version, request.version);
  EXPECT_EQ(got.seed, request.seed);
  EXPECT_EQ(got.params, request.params);
  ASSERT_EQ(got.inputs.at("data").size(), 2u);
  EXPECT_EQ(got.inputs.at("data")[0].roles, request.inputs.at("data")[0].roles);
  EXPECT_EQ(got.inputs.at("model")[0].files[1].sha256, Sha256Hex("names"));
  EXPECT_EQ(got.inputs.at("model")[0].architecture.config.at("d_model"), 64);
}

TEST(JobRequest, BrokenTextIsRefusedByName) {
  struct Case {
    const char* member;
    const char* value;
    const char* message;
  };
  for (const Case& c :
       {Case{"analysis", "1", "\"analysis\""}, Case{"version", "\"1\"", "\"version\""},
        Case{"seed", "0.5", "\"seed\""}, Case{"params", "[]", "\"params\""},
        Case{"params", R"({"k": [{}]})", "parameter \"k\""},
        Case{"inputs", R"({"model": {}})", "input \"model\""},
        Case{"inputs", R"({"model": [{}]})", "\"kind\""}}) {
    Json json = Json::parse(Sample().ToJsonText());
    json[c.member] = Json::parse(c.value);
    EXPECT_THAT(JobRequest::Parse(json.dump()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.member << " = " << c.value;
  }
}

TEST(JobRequest, BlobNameThatCouldBeAPathIsRefused) {
  std::string text = Sample().ToJsonText();
  size_t at = text.find(Sha256Hex("names"));
  text.replace(at, 64, "../../etc/passwd");
  EXPECT_THAT(JobRequest::Parse(text),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("../../etc/passwd")));
}

class JobFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteFile(weights_, "weights"));
    ASSERT_OK(WriteFile(names_, "names"));
  }
  TemporaryFolder folder_ = TemporaryFolder::Make().value();
  std::string weights_ = folder_.path() + "/weights", names_ = folder_.path() + "/names";
  std::string job_ = folder_.path() + "/jobs/1";
};

TEST_F(JobFolderTest, HoldsRequestLinkedBlobsAndAPlaceForTheResult) {
  std::string link = folder_.path() + "/link";  // as in a Hugging Face cache
  ASSERT_EQ(symlink(names_.c_str(), link.c_str()), 0);
  JobRequest request = Sample();
  ASSERT_OK(
      MakeJobFolder(job_, request, {{Sha256Hex("weights"), weights_}, {Sha256Hex("names"), link}}));
  ASSERT_OK_AND_ASSIGN(std::string text, ReadFile(job_ + "/job.json", 1 << 20));
  EXPECT_EQ(text, request.ToJsonText());
  struct stat original, linked;
  ASSERT_EQ(stat(weights_.c_str(), &original), 0);
  ASSERT_EQ(stat((job_ + "/blobs/" + Sha256Hex("weights")).c_str(), &linked), 0);
  EXPECT_EQ(original.st_ino, linked.st_ino);
  ASSERT_OK_AND_ASSIGN(std::string names, ReadFile(job_ + "/blobs/" + Sha256Hex("names"), 100));
  EXPECT_EQ(names, "names");
  ASSERT_EQ(lstat((job_ + "/blobs/" + Sha256Hex("names")).c_str(), &linked), 0);
  EXPECT_TRUE(S_ISREG(linked.st_mode));
  EXPECT_EQ(access((job_ + "/out").c_str(), W_OK), 0);
}

TEST_F(JobFolderTest, CopiesAcrossFileSystems) {
  ASSERT_OK_AND_ASSIGN(TemporaryFolder other, TemporaryFolder::Make("/dev/shm"));
  struct stat here, there;
  ASSERT_EQ(stat(folder_.path().c_str(), &here), 0);
  ASSERT_EQ(stat(other.path().c_str(), &there), 0);
  ASSERT_NE(here.st_dev, there.st_dev) << "TMPDIR must not lie on /dev/shm";
  std::string job = other.path() + "/job";
  ASSERT_OK(MakeJobFolder(job, Sample(),
                          {{Sha256Hex("weights"), weights_}, {Sha256Hex("names"), names_}}));
  struct stat copied;
  std::string copy = job + "/blobs/" + Sha256Hex("weights");
  ASSERT_EQ(stat(copy.c_str(), &copied), 0);
  EXPECT_EQ(copied.st_mode & 0777, 0444u);
  ASSERT_OK_AND_ASSIGN(std::string bytes, ReadFile(copy, 100));
  EXPECT_EQ(bytes, "weights");
}

TEST_F(JobFolderTest, LinksToFilesWhereTheyLieWhenToldSo) {
  ASSERT_OK_AND_ASSIGN(TemporaryFolder other, TemporaryFolder::Make("/dev/shm"));
  const std::string link = folder_.path() + "/link", job = other.path() + "/job";
  ASSERT_EQ(symlink("names", link.c_str()), 0);
  ASSERT_OK(MakeJobFolder(
      job, Sample(), {{Sha256Hex("weights"), weights_}, {Sha256Hex("names"), link}}, &LinkToFile));
  for (const auto& [bytes, file] : {std::pair("weights", weights_), {"names", names_}}) {
    const std::string blob = job + "/blobs/" + Sha256Hex(bytes);
    EXPECT_EQ(std::filesystem::read_symlink(blob), std::filesystem::canonical(file));
    EXPECT_EQ(ReadFile(blob, 100).value(), bytes);
  }
  EXPECT_THAT(LinkToFile(folder_.path() + "/nothing", job + "/x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
}

TEST_F(JobFolderTest, ACopyThatFailsNamesItsPlace) {
  ASSERT_OK_AND_ASSIGN(TemporaryFolder other, TemporaryFolder::Make("/dev/shm"));
  EXPECT_THAT(LinkOrCopy(weights_, other.path() + "/no/where"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/where")));
}

TEST_F(JobFolderTest, MissingBlobIsNamedWithItsInput) {
  EXPECT_THAT(MakeJobFolder(job_, Sample(), {{Sha256Hex("weights"), weights_}}),
              StatusIs(absl::StatusCode::kNotFound,
                       ::testing::AllOf(HasSubstr("input model"), HasSubstr("names.json"))));
}

}  // namespace
}  // namespace radiograph
