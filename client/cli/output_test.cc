#include "client/cli/output.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "client/cli/summary.h"
#include "core/base/file.h"
#include "tests/support/status_matchers.h"

namespace radiograph::cli {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

std::string Printed(Format format, const TextTable& table, const Json& json) {
  std::ostringstream out;
  Print(out, format, table, json);
  return out.str();
}

const TextTable kTable = {.columns = {"NAME", "VALUE"}, .rows = {{"é", "1"}, {"two, \"2\"", ""}}};

TEST(Output, ATableIsAlignedByCharacters) {
  EXPECT_EQ(Printed(Format::kTable, kTable, {}),
            "NAME      VALUE\n"
            "é         1\n"
            "two, \"2\"\n");
}

TEST(Output, CsvIsQuotedWhereItMustBe) {
  EXPECT_EQ(Printed(Format::kCsv, kTable, {}), "NAME,VALUE\né,1\n\"two, \"\"2\"\"\",\n");
}

TEST(Output, NamesAreTheFirstColumn) {
  EXPECT_EQ(Printed(Format::kName, kTable, {}), "é\ntwo, \"2\"\n");
}

TEST(Output, YamlIsReadBackAsWhatItWas) {
  Json json = {{"list", {1, "yes", {{"deep", nullptr}}, Json::array({1.5, "x: y"})}},
               {"empty", Json::object()},
               {"plain", "a-b"}};
  EXPECT_EQ(Printed(Format::kYaml, {}, json),
            "empty: {}\n"
            "list:\n"
            "  - 1\n"
            "  - \"yes\"\n"
            "  - deep: null\n"
            "  - - 1.5\n"
            "    - \"x: y\"\n"
            "plain: a-b\n");
}

TEST(Output, ATableFromOutsideMovesNoCursor) {
  TextTable table{.columns = {"NAME"}, .rows = {{"a\x1b[2Jb\nc"}}};
  EXPECT_EQ(Printed(Format::kTable, table, {}), "NAME\na\\x1b[2Jb\\x0ac\n");
}

TEST(Format, AnUnknownOneIsAUsageError) {
  ASSERT_OK_AND_ASSIGN(Args args, Args::Parse(std::vector<FlagSpec>{FormatFlag()},
                                              std::vector<std::string>{"-o", "xml"}));
  EXPECT_THAT(FormatOf(args), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("yaml")));
}

constexpr char kResult[] = R"({"schema":1,
  "verdicts":[{"name":"overfit","value":"no","one_of":["no","yes"]}],
  "metrics":[{"name":"rank_mean","value":2.6712345,"unit":"directions","description":"mean rank","exactness":"exact"},
             {"name":"bound","value":3,"unit":"","description":"a bound","exactness":"upper_bound","low":2,"high":4},
             {"name":"significant","value":null,"reason":"NO_DRAWS","unit":"","description":"","exactness":"exact"},
             {"name":"by_class","values":[1,null,3.5],"unit":"logit","description":"","exactness":"exact"}],
  "tables":[{"name":"classes","columns":[{"name":"class","unit":""},{"name":"top","unit":"logit"}],"rows":[["zero",1.25],["one",null]]}],
  "findings":[{"code":"ZERO_DIRECTION","level":"warning","text":"Output 3 is zero.","evidence":[],"caveat":"float32"}]})";

class SummaryTest : public ::testing::Test {
 protected:
  std::string Show(Format format) {
    TemporaryFolder folder = TemporaryFolder::Make().value();
    EXPECT_OK(WriteFile(folder.path() + "/result.json", kResult));
    std::ostringstream out, err;
    Console console(out, err, false);
    EXPECT_OK(PrintResult(console, format, folder.path()));
    EXPECT_EQ(err.str(), "");
    return out.str();
  }
};

TEST_F(SummaryTest, TellsVerdictsNumbersTablesAndFindings) {
  EXPECT_EQ(Show(Format::kTable),
            "overfit: no\n"
            "\n"
            "METRIC       VALUE                 UNIT        WHAT IT SAYS\n"
            "rank_mean    2.67123               directions  mean rank\n"
            "bound        <= 3 (2 .. 4)                     a bound\n"
            "significant  undefined (NO_DRAWS)\n"
            "by_class     1 .. 3.5 over 3       logit\n"
            "\n"
            "classes\n"
            "class  top [logit]\n"
            "zero   1.25\n"
            "one    -\n"
            "\n"
            "FINDING\n"
            "warning  ZERO_DIRECTION  Output 3 is zero. (float32)\n");
}

TEST_F(SummaryTest, CsvHasEveryNumberInFull) {
  EXPECT_EQ(Show(Format::kCsv),
            "metric,index,value,unit,low,high,reason\n"
            "rank_mean,,2.6712345,directions,,,\n"
            "bound,,3,,2,4,\n"
            "significant,,,,,,NO_DRAWS\n"
            "by_class,0,1,logit,,,\n"
            "by_class,1,,logit,,,\n"
            "by_class,2,3.5,logit,,,\n");
}

TEST_F(SummaryTest, JsonIsTheFileItself) {
  EXPECT_EQ(Show(Format::kJson), std::string(kResult) + "\n");
}

}  // namespace
}  // namespace radiograph::cli
