#include "core/results/bundle.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/catalog/spec_builder.h"
#include "core/results/figures.h"
#include "core/safetensors/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct ToyParams {
  int64_t k = 2;
  std::string space = "input";
};

Spec ToySpec() {
  return SpecOf<ToyParams>("toy.rank", 3, "What a toy has.")
      .Param("k", &ToyParams::k, {.min = 1, .max = 9}, "how many")
      .Param("space", &ToyParams::space, "where")
      .Output("eigenvalues", "[C, r]", "logit")
      .Output("p_values", "[C]", "")
      .Metric("rank", {.better = Better::kLower, .unit = "eigenvalues"}, "how many are used")
      .Metric("significant", {.exactness = Exactness::kEstimate}, "how many stand out");
}

ResultIdentity ToyIdentity() {
  return {.analysis = "toy.rank",
          .version = 3,
          .params = {{"k", int64_t{2}}, {"space", std::string("input")}},
          .seed = 7,
          .inputs = {{"model", {std::string(64, 'a')}}}};
}

RunInfo ToyRun() {
  return {.engine = {"b1", "2.13.0+cpu", "cpu", "some CPU", "AVX2", 2},
          .seconds = 0.5,
          .peak_host_bytes = 4096,
          .notes = {{"dtype", "float64"}}};
}

std::string Bytes(const std::vector<double>& values) {
  std::string bytes(values.size() * sizeof(double), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

Array Eigenvalues(const std::vector<double>& values = {2, -1}) {
  return {.name = "eigenvalues",
          .dtype = safetensors::DType::kF64,
          .shape = {1, static_cast<int64_t>(values.size())},
          .axes = {"class", "rank"},
          .bytes = Bytes(values)};
}

Result ToyResult() {
  Result result;
  result.metrics = {{.name = "significant", .reason = "NO_DRAWS"},
                    {.name = "rank", .value = 1.8, .low = 1.5, .high = 2, .level = 0.9, .n = 5}};
  result.verdicts = {{"low_rank", "yes", {"yes", "no"}}};
  result.tables = {{"classes",
                    {{"class", ""}, {"rank", "eigenvalues"}},
                    {{std::string("zero"), 1.8}, {{}, {}}}}};
  result.findings = {
      {"SMALL", FindingLevel::kWarning, "It is small.", {"rank", "eigenvalues"}, "So far."}};
  result.figures = {
      Lines({"spectrum", "Spectrum", "Read it so."}, {{.name = "zero", .y = {2, -1}}}, {}, {})};
  result.arrays = {Eigenvalues()};
  result.run_notes = {{"draws", "0"}};
  return result;
}

class Bundle : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) { return absl::StrCat(folder_.path(), "/", name); }
  std::string Read(const std::string& name) { return ReadFile(Path(name), 1 << 20).value(); }
  absl::Status Write(const Result& result) {
    return WriteBundle(folder_.path(), ToySpec(), ToyIdentity(), result, ToyRun());
  }
  TemporaryFolder folder_ = TemporaryFolder::Make().value();
};

TEST_F(Bundle, ResultJsonIsThisText) {
  ASSERT_OK(Write(ToyResult()));
  EXPECT_EQ(
      Read("result.json"),
      R"({"analysis":{"name":"toy.rank","version":3},)"
      R"("arrays":[{"axes":["class","rank"],"dtype":"F64","name":"eigenvalues","shape":[1,2]}],)"
      R"("artifacts":[],)"
      R"("figures":[{"caption":"Read it so.","file":"figures/spectrum.json","name":"spectrum","title":"Spectrum"}],)"
      R"("findings":[{"caveat":"So far.","code":"SMALL","evidence":["rank","eigenvalues"],"level":"warning","text":"It is small."}],)"
      R"("inputs":{"model":["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]},)"
      R"("metrics":[{"better":"lower","description":"how many are used","exactness":"exact","high":2,"level":0.9,"low":1.5,"n":5,"name":"rank","unit":"eigenvalues","value":1.8},)"
      R"({"better":"none","description":"how many stand out","exactness":"estimate","name":"significant","reason":"NO_DRAWS","unit":"","value":null}],)"
      R"("params":{"k":2,"space":"input"},"schema":1,"seed":7,)"
      R"("tables":[{"columns":[{"name":"class","unit":""},{"name":"rank","unit":"eigenvalues"}],"name":"classes","rows":[["zero",1.8],[null,null]]}],)"
      R"("verdicts":[{"name":"low_rank","one_of":["yes","no"],"value":"yes"}]})"
      "\n");
}

TEST_F(Bundle, RunJsonHoldsTheEngineAndWhatWasMeasured) {
  ASSERT_OK(Write(ToyResult()));
  EXPECT_EQ(
      Read("run.json"),
      R"({"engine":{"build":"b1","cpu_capability":"AVX2","device_kind":"cpu","device_model":"some CPU","threads":2,"torch_version":"2.13.0+cpu"},)"
      R"("notes":{"draws":"0","dtype":"float64"},"peak_device_bytes":0,"peak_host_bytes":4096,"schema":1,"seconds":0.5})"
      "\n");
}

TEST_F(Bundle, ArraysAndFiguresAreFilesOfTheirOwn) {
  Result result = ToyResult();
  ASSERT_OK(Write(result));
  ASSERT_OK_AND_ASSIGN(auto arrays,
                       safetensors::MappedTensors::Open(Path("arrays.safetensors"), "arrays"));
  const safetensors::TensorInfo* tensor = arrays->header().Find("eigenvalues");
  ASSERT_NE(tensor, nullptr);
  EXPECT_THAT(tensor->shape, ElementsAre(1, 2));
  EXPECT_EQ(arrays->Bytes(*tensor), Bytes({2, -1}));
  EXPECT_EQ(Read("figures/spectrum.json"), absl::StrCat(result.figures[0].plotly, "\n"));
}

TEST_F(Bundle, ListsItsOwnFilesOnly) {
  ASSERT_OK(Write(ToyResult()));
  ASSERT_OK(WriteFile(Path("report.html"), "x"));
  EXPECT_THAT(
      BundleFiles(folder_.path()).value(),
      ElementsAre("arrays.safetensors", "figures/spectrum.json", "result.json", "run.json"));
}

TEST_F(Bundle, IsNotFoundWhenAFileIsMissing) {
  ASSERT_OK(Write(ToyResult()));
  ASSERT_EQ(unlink(Path("run.json").c_str()), 0);
  EXPECT_THAT(BundleFiles(folder_.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("run.json")));
}

TEST_F(Bundle, TheSameResultGivesTheSameBytes) {
  ASSERT_OK(Write(ToyResult()));
  TemporaryFolder other = TemporaryFolder::Make().value();
  ASSERT_OK(WriteBundle(other.path(), ToySpec(), ToyIdentity(), ToyResult(), ToyRun()));
  ASSERT_OK_AND_ASSIGN(std::vector<std::string> names, BundleFiles(folder_.path()));
  for (const std::string& name : names) {
    EXPECT_EQ(Read(name), ReadFile(absl::StrCat(other.path(), "/", name), 1 << 20).value()) << name;
  }
}

TEST_F(Bundle, HoldsAResultWithoutArraysAndFigures) {
  Result result = ToyResult();
  result.arrays.clear();
  result.figures.clear();
  result.findings.clear();
  ASSERT_OK(Write(result));
  EXPECT_THAT(BundleFiles(folder_.path()).value(),
              ElementsAre("arrays.safetensors", "result.json", "run.json"));
}

TEST_F(Bundle, AMetricWithAnIndexHasValues) {
  Result result = ToyResult();
  result.metrics[1] = {.name = "rank", .values = {1.5, std::nullopt}, .reason = "ZERO_DIRECTION"};
  ASSERT_OK(Write(result));
  EXPECT_THAT(Read("result.json"),
              HasSubstr(R"("reason":"ZERO_DIRECTION","unit":"eigenvalues","values":[1.5,null])"));
}

TEST_F(Bundle, NaNStandsWhereItIsAllowed) {
  Result result = ToyResult();
  result.arrays[0] = Eigenvalues({NAN, 1});
  result.arrays[0].nan_allowed = true;
  EXPECT_OK(Write(result));
}

TEST_F(Bundle, RefusesWhatAnAnalysisMustNotLeave) {
  double infinity = std::numeric_limits<double>::infinity();
  struct Case {
    const char* message;
    std::function<void(Result&)> spoil;
  } cases[] = {
      {"metric rank is missing", [](Result& r) { r.metrics.pop_back(); }},
      {"metric rank is there twice", [](Result& r) { r.metrics.push_back(r.metrics.back()); }},
      {"metric extra is not in the Spec of toy.rank",
       [](Result& r) { r.metrics.push_back({.name = "extra", .value = 1}); }},
      {"metric rank is nan", [](Result& r) { r.metrics[1].value = NAN; }},
      {"metric significant is null without a reason",
       [](Result& r) { r.metrics[0].reason.clear(); }},
      {"metric rank has an interval without a level",
       [](Result& r) { r.metrics[1].level.reset(); }},
      {"metric rank has low 3 above high 2", [](Result& r) { r.metrics[1].low = 3; }},
      {"metric rank has an interval that is not finite",
       [=](Result& r) { r.metrics[1].high = infinity; }},
      {"verdict low_rank is \"maybe\", not one of yes, no",
       [](Result& r) { r.verdicts[0].value = "maybe"; }},
      {"table classes has 1 cells in row 1 and 2 columns",
       [](Result& r) { r.tables[0].rows[1].pop_back(); }},
      {"table classes has inf in row 0", [=](Result& r) { r.tables[0].rows[0][1] = infinity; }},
      {"figure ../x is not named", [](Result& r) { r.figures[0].name = "../x"; }},
      {"figure spectrum is there twice", [](Result& r) { r.figures.push_back(r.figures[0]); }},
      {"figure spectrum: not JSON", [](Result& r) { r.figures[0].plotly = ""; }},
      {"figure spectrum is not {\"data\"",
       [](Result& r) { r.figures[0].plotly = R"({"data":[]})"; }},
      {"figure spectrum is not canonical JSON",
       [](Result& r) { r.figures[0].plotly = R"({"layout":{}, "data":[]})"; }},
      {"array loss is not an output of toy.rank", [](Result& r) { r.arrays[0].name = "loss"; }},
      {"array eigenvalues of shape [1, 2] names 1 axes",
       [](Result& r) { r.arrays[0].axes.pop_back(); }},
      {"array eigenvalues of shape [1, 2] needs 16 bytes and has 15",
       [](Result& r) { r.arrays[0].bytes.pop_back(); }},
      {"array eigenvalues: shape [-1, 2] has a size below 0", [](Result& r) { r.arrays[0].shape[0] = -1; }},
      {"array eigenvalues holds NaN",
       [](Result& r) {
         r.arrays[0] = Eigenvalues({NAN, 1});
       }},
      {"array eigenvalues holds an infinity",
       [=](Result& r) {
         r.arrays[0] = Eigenvalues({infinity, 1});
         r.arrays[0].nan_allowed = true;
       }},
      {"finding SMALL names nothing as evidence, which is not there",
       [](Result& r) { r.findings[0].evidence = {"nothing"}; }},
      {"a finding without code or text", [](Result& r) { r.findings[0].text.clear(); }},
      {"a string is not UTF-8", [](Result& r) { r.findings[0].text = "\xff"; }},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.message);
    Result result = ToyResult();
    one.spoil(result);
    EXPECT_THAT(Write(result), StatusIs(absl::StatusCode::kInternal, HasSubstr(one.message)));
    EXPECT_THAT(OpenFile(Path("result.json"), O_RDONLY),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("")));
  }
}

TEST_F(Bundle, FindsNaNInEveryFloatingType) {
  struct Case {
    safetensors::DType dtype;
    std::string nan;
  } cases[] = {{safetensors::DType::kF32, std::string("\x00\x00\xc0\x7f", 4)},
               {safetensors::DType::kF16, std::string("\x00\x7e", 2)},
               {safetensors::DType::kBF16, std::string("\xc0\xff", 2)}};
  for (const Case& one : cases) {
    SCOPED_TRACE(safetensors::DTypeName(one.dtype));
    Result result = ToyResult();
    result.arrays[0] = {
        .name = "p_values", .dtype = one.dtype, .shape = {1}, .axes = {"class"}, .bytes = one.nan};
    result.findings.clear();
    EXPECT_THAT(Write(result),
                StatusIs(absl::StatusCode::kInternal, HasSubstr("p_values holds NaN")));
  }
}

TEST(ResultDigest, IsThatOfTheSortedNamesAndDigestsWithoutTheRun) {
  std::string a(64, 'a'), b(64, 'b');
  std::string digest = ResultDigest({{"result.json", b}, {"arrays.safetensors", a}}).value();
  EXPECT_EQ(digest, Sha256Hex(absl::StrCat("[[\"arrays.safetensors\",\"", a,
                                           "\"],[\"result.json\",\"", b, "\"]]")));
  EXPECT_EQ(ResultDigest({{"run.json", b}, {"arrays.safetensors", a}, {"result.json", b}}).value(),
            digest);
}

TEST(ResultDigest, RefusesWhatIsNoListOfFiles) {
  std::string a(64, 'a');
  EXPECT_THAT(ResultDigest({{"result.json", "abc"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("result.json: \"abc\" is not a SHA-256")));
  EXPECT_THAT(ResultDigest({{"x", a}, {"x", a}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("x is listed twice")));
}

TEST(Engine, ComesBackFromJson) {
  Engine engine = ToyRun().engine;
  ASSERT_OK_AND_ASSIGN(Engine back, Engine::FromJson(engine.ToJson()));
  EXPECT_EQ(back.ToJson(), engine.ToJson());
  EXPECT_EQ(back.device_model, "some CPU");
  EXPECT_EQ(back.threads, 2);
}

TEST(Engine, RefusesWhatIsMissing) {
  Json json = ToyRun().engine.ToJson();
  json.erase("build");
  EXPECT_THAT(Engine::FromJson(json), StatusIs(absl::StatusCode::kInvalidArgument,
                                               HasSubstr("\"build\" must be a string")));
  json = ToyRun().engine.ToJson();
  json["threads"] = 0;
  EXPECT_THAT(Engine::FromJson(json),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"threads\" must be")));
}

}  // namespace
}  // namespace radiograph
