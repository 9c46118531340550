#include "core/results/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/results/bundle.h"
#include "core/results/html.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kResult[] =
    R"({"schema":1,"analysis":{"name":"toy.rank","version":3},"params":{"k":2},
  "seed":7,"inputs":{"model":["d1"]},
  "metrics":[{"name":"rank_mean","value":2.5,"unit":"eigenvalues","description":"how many","better":"lower",
              "exactness":"lower_bound","low":2,"high":3,"level":0.9,"n":5},
             {"name":"loss","value":null,"reason":"NO_DATA","unit":"","description":"","better":"none","exactness":"exact"}],
  "verdicts":[{"name":"low_rank","value":"green","one_of":["green","red"]}],
  "tables":[{"name":"classes","columns":[{"name":"class","unit":""},{"name":"rank","unit":"1"}],"rows":[["zero",1.25]]}],
  "findings":[{"code":"SMALL","level":"warning","text":"It is small.","evidence":["rank_mean","spectrum"],"caveat":"So far."}],
  "figures":[{"name":"spectrum","title":"Spectrum","caption":"Read it so.","file":"figures/spectrum.json"}],
  "arrays":[{"name":"eigenvalues","shape":[10,64],"dtype":"F64","axes":["class","rank"]}],"artifacts":[]})";

class Report : public ::testing::Test {
 protected:
  Report() {
    Write("result.json", kResult);
    Write(
        "run.json",
        R"({"engine":{"torch_version":"2.13.0"},"seconds":0.42,"peak_host_bytes":1000000,"notes":{"draws":"20"}})");
    Write("arrays.safetensors", "");
    EXPECT_OK(MakeFolders(absl::StrCat(folder_.path(), "/figures")));
    Write("figures/spectrum.json", R"({"data":[],"layout":{}})");
  }
  void Write(const std::string& name, absl::string_view text) {
    EXPECT_OK(WriteFile(absl::StrCat(folder_.path(), "/", name), text));
  }
  // With one text of result.json replaced.
  void Replace(absl::string_view from, absl::string_view to) {
    std::string text = kResult;
    size_t at = text.find(std::string(from));
    ASSERT_NE(at, std::string::npos);
    Write("result.json", text.replace(at, from.size(), std::string(to)));
  }
  absl::StatusOr<std::string> Render() { return RenderReport(folder_.path()); }

  TemporaryFolder folder_ = TemporaryFolder::Make().value();
};

TEST_F(Report, TellsMainThingsFirstAndProvenanceLast) {
  std::string page = Render().value();
  size_t last = 0;
  for (const char* text : {"toy.rank",
                           "version 3",
                           "Low rank: <b>green</b>",
                           "It is small.",
                           "Rank mean",
                           "2.5 <small>eigenvalues</small>",
                           "2 to 3 (90%)",
                           "Spectrum",
                           "Read it so.",
                           R"({"data":[],"layout":{}})",
                           "It is small.",
                           "Caveat: So far.",
                           R"(<a href="#metrics-rank_mean">)",
                           R"(<a href="#figures-spectrum">)",
                           R"(id="metrics-rank_mean")",
                           "lower bound",
                           "undefined: <code>NO_DATA</code>",
                           R"(id="tables-classes")",
                           R"(title="1.25">1.25</td>)",
                           "[10, 64]</td><td>class, rank",
                           "Parameters",
                           "Where it comes from",
                           "input model",
                           "d1",
                           "seed",
                           "torch version",
                           "0.42",
                           "1 MB",
                           "draws"}) {
    size_t at = page.find(text, last);
    ASSERT_NE(at, std::string::npos) << text;
    last = at;
  }
}

TEST_F(Report, IsAPureFunctionOfTheBundle) { EXPECT_EQ(Render().value(), Render().value()); }

TEST_F(Report, NamesTheResultDigest) {
  std::vector<BundleFile> files;
  for (const char* name : {"arrays.safetensors", "figures/spectrum.json", "result.json"}) {
    files.push_back({name, Sha256OfFile(absl::StrCat(folder_.path(), "/", name)).value().sha256});
  }
  EXPECT_THAT(Render().value(), HasSubstr(ResultDigest(files).value()));
}

TEST_F(Report, EscapesTextFromOutside) {
  const std::string hostile = "<script>alert(1)</script>";
  for (const char* from : {"toy.rank", "\"d1\"", "rank_mean", "eigenvalues", "how many",
                           "lower_bound", "NO_DATA", "low_rank", "green", "classes", "zero",
                           "SMALL", "It is small.", "So far.", "Spectrum", "Read it so.", "F64"}) {
    SCOPED_TRACE(from);
    bool quoted = from[0] == '"';
    Replace(from, quoted ? absl::StrCat("\"", hostile, "\"") : hostile);
    std::string page = Render().value();
    EXPECT_THAT(page, Not(HasSubstr(hostile)));
    EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  }
}

TEST_F(Report, AFigureCannotEndItsScript) {
  Write("figures/spectrum.json",
        "{\"data\":[{\"name\":\"</script><!--&\xe2\x80\xa8\"}],\"layout\":{}}");
  EXPECT_THAT(
      Render().value(),
      HasSubstr(R"({"data":[{"name":"\u003c/script\u003e\u003c!--\u0026\u2028"}],"layout":{}})"));
}

TEST_F(Report, PolicyLetsNoOtherScriptRunAndNothingLoad) {
  std::string page = Render().value();
  EXPECT_THAT(page, HasSubstr("default-src 'none'; script-src 'sha256-"));
  int scripts = 0;
  for (size_t at = page.find("<script>"); at != std::string::npos; at = page.find("<script>", at)) {
    at += 8;
    std::string script = page.substr(at, page.find("</script>", at) - at);
    std::string hash = absl::Base64Escape(absl::HexStringToBytes(Sha256Hex(script)));
    EXPECT_THAT(page.substr(0, 1000), HasSubstr(absl::StrCat("'sha256-", hash, "'")));
    ++scripts;
  }
  EXPECT_EQ(scripts, 2) << "Plotly and ours";
}

TEST_F(Report, ShowsWhatFitsOfForeignJson) {
  Write(
      "result.json",
      R"({"schema":1,"analysis":[],"metrics":[1,null,{"name":3,"value":"x","values":[{}],"low":"y"}],
    "verdicts":{},"findings":["x",{"evidence":[1]}],"tables":[{"rows":[1,[[]]],"columns":[2]}],"figures":3,
    "arrays":[{"shape":["a"],"axes":[1]}],"params":[1],"inputs":7})");
  Write("run.json", R"({"engine":1,"notes":[],"seconds":"x"})");
  EXPECT_THAT(Render().value(), HasSubstr("Where it comes from"));
}

TEST_F(Report, CutsLongTables) {
  Json result = Json::parse(kResult);
  result["tables"][0]["rows"] = Json(205, Json{"zero", 1});
  Write("result.json", result.dump());
  EXPECT_THAT(Render().value(), HasSubstr("5 more rows stand in result.json."));
}

TEST_F(Report, IsNotFoundWithoutAFile) {
  EXPECT_THAT(RenderReport("/nowhere"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere")));
  ASSERT_EQ(unlink(absl::StrCat(folder_.path(), "/figures/spectrum.json").c_str()), 0);
  EXPECT_THAT(Render(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("figures/spectrum.json is missing")));
}

TEST_F(Report, LooksForFiguresInTheirFolderOnly) {
  Replace(R"("name":"spectrum")", R"("name":"../run")");
  EXPECT_THAT(Render(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("figures/../run.json is missing")));
}

TEST_F(Report, RefusesWhatItCannotRead) {
  Replace(R"("schema":1)", R"("schema":2)");
  EXPECT_THAT(Render(), StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("has schema 2; this build reads 1")));
  Write("result.json", "[]");
  EXPECT_THAT(Render(), StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("result.json: not a JSON object")));
  Write("result.json", "{");
  EXPECT_THAT(Render(), StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("result.json: not JSON at byte")));
}

TEST(HtmlNumber, HasFourDigits) {
  struct Case {
    double value;
    const char* text;
  } cases[] = {{0, "0"},
               {1797, "1797"},
               {-2, "-2"},
               {2.63412, "2.634"},
               {0.96666, "0.9667"},
               {0.001, "0.001"},
               {0.0001234, "1.23e-04"},
               {1.234e-16, "1.23e-16"},
               {12345.67, "12345.7"},
               {1234567.5, "1.23e+06"}};
  for (const Case& one : cases) EXPECT_EQ(html::Number(one.value), one.text);
}

}  // namespace
}  // namespace radiograph
