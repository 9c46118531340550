#include "core/results/figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/json.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json Parsed(const Figure& figure) { return ParseJson(figure.plotly).value(); }

TEST(Lines, HasOneTraceForEachSeries) {
  Figure figure =
      Lines({"spectrum", "Eigenvalues", "Read me"},
            {{.name = "zero", .y = {2, 1}}, {.name = "null", .y = {1.5, 1.5}, .dashed = true}},
            {.title = "rank"}, {.title = "eigenvalue", .unit = "logit"});
  EXPECT_EQ(figure.name, "spectrum");
  EXPECT_EQ(figure.title, "Eigenvalues");
  EXPECT_EQ(figure.caption, "Read me");
  Json json = Parsed(figure);
  ASSERT_EQ(json["data"].size(), 2);
  EXPECT_EQ(json["data"][0]["name"], "zero");
  EXPECT_EQ(json["data"][0]["y"], (Json{2, 1}));
  EXPECT_EQ(json["data"][0]["x0"], 1);
  EXPECT_EQ(json["data"][1]["line"]["dash"], "dash");
  EXPECT_EQ(json["layout"]["yaxis"]["title"]["text"], "eigenvalue (logit)");
}

TEST(Lines, GivesCanonicalJson) {
  Figure figure = Lines({"a", "", ""}, {{.x = {0.1, 0.2}, .y = {1e-7, 3}}}, {}, {});
  EXPECT_EQ(CanonicalJson(Parsed(figure)).value(), figure.plotly);
  EXPECT_THAT(figure.plotly, HasSubstr(R"("y":[1e-7,3])"));
}

TEST(Lines, KeepsSixDigitsAndTurnsWhatIsNotFiniteIntoGaps) {
  double infinity = std::numeric_limits<double>::infinity();
  Figure figure = Lines({"a", "", ""}, {{.y = {1.23456789, NAN, infinity, -infinity}}}, {}, {});
  EXPECT_EQ(Parsed(figure)["data"][0]["y"], (Json{1.23457, nullptr, nullptr, nullptr}));
}

TEST(Lines, MakesMarkupInLabelsText) {
  Figure figure = Lines({"a", "<b>t</b>", ""}, {{.name = "<a href='x'>&"}}, {.title = "<i>"}, {});
  Json json = Parsed(figure);
  EXPECT_EQ(json["data"][0]["name"], "&lt;a href='x'&gt;&amp;");
  EXPECT_EQ(json["layout"]["title"]["text"], "&lt;b&gt;t&lt;/b&gt;");
  EXPECT_EQ(json["layout"]["xaxis"]["title"]["text"], "&lt;i&gt;");
}

TEST(Lines, LeavesPlotlyEmptyWhenALabelIsNotUtf8) {
  EXPECT_THAT(Lines({"a", "\xff", ""}, {}, {}, {}).plotly, IsEmpty());
}

TEST(Lines, CutsLongNamesBetweenCharacters) {
  std::string accents;
  for (int i = 0; i < 25; ++i) accents += "\xc3\xa9";
  Json json =
      Parsed(Lines({"a", "", ""}, {{.name = accents}, {.name = accents.substr(2)}}, {}, {}));
  EXPECT_EQ(json["data"][0]["name"], accents.substr(2) + "\xe2\x80\xa6");
  EXPECT_EQ(json["data"][1]["name"], accents.substr(2));
}

TEST(Bars, GivesEqualLabelsPlacesOfTheirOwn) {
  Figure figure = Bars({"bars", "", ""}, {"3", "3", "3 (2)"}, {{.y = {1, 2, 4}}}, {}, {});
  Json json = Parsed(figure);
  EXPECT_EQ(json["data"][0]["x"], (Json{"3", "3 (2)", "3 (2) (2)"}));
  EXPECT_EQ(json["layout"]["xaxis"]["type"], "category");
}

TEST(Bars, DrawsIntervalsAroundTheValue) {
  Figure figure = Bars({"bars", "", ""}, {"a"}, {{.y = {2}, .low = {1.5}, .high = {4}}}, {}, {});
  Json error = Parsed(figure)["data"][0]["error_y"];
  EXPECT_EQ(error["array"], Json::array({2.0}));
  EXPECT_EQ(error["arrayminus"], Json::array({0.5}));
}

TEST(HeatMap, ColoursAreSymmetricAroundZero) {
  Json trace =
      Parsed(HeatMap({"map", "", ""}, {{1, -3}, {NAN, 2}}, {"r"}, {"a", "b"}, {}, {}))["data"][0];
  EXPECT_EQ(trace["zmin"], -3);
  EXPECT_EQ(trace["zmax"], 3);
  EXPECT_EQ(trace["z"], (Json{{1, -3}, {nullptr, 2}}));
  EXPECT_EQ(trace["y"], (Json{"r", "1"})) << "a missing label is the row's number";
}

TEST(HeatMap, SequentialColoursStartAtZero) {
  Json trace =
      Parsed(HeatMap({"map", "", ""}, {{1, 2}}, {}, {}, {}, {}, {.diverging = false}))["data"][0];
  EXPECT_EQ(trace["zmin"], 0);
  EXPECT_EQ(trace["zmax"], 2);
}

TEST(Pictures, StandsEachPictureInItsPlace) {
  PictureGrid grid{.height = 2, .width = 2, .columns = {"first", "second"}};
  grid.rows = {{"zero", {{"+1", {1, 2, 3, 4}}, {"-1", {5, 6, 7, -8}}}}};
  Json json = Parsed(Pictures({"pictures", "", ""}, grid));
  // A row for the titles, and a column between the pictures.
  EXPECT_EQ(json["data"][0]["z"], (Json{{nullptr, nullptr, nullptr, nullptr, nullptr},
                                        {1, 2, nullptr, 5, 6},
                                        {3, 4, nullptr, 7, -8}}));
  EXPECT_EQ(json["data"][0]["zmin"], -8);
  EXPECT_EQ(json["data"][0]["zmax"], 8);
  EXPECT_EQ(json["data"][1]["text"], (Json{"+1", "-1"}));
  EXPECT_EQ(json["data"][1]["x"], (Json{0.5, 3.5}));
  EXPECT_EQ(json["layout"]["xaxis"]["tickvals"], (Json{0.5, 3.5}));
  EXPECT_EQ(json["layout"]["yaxis"]["tickvals"], Json::array({1.5}));
  EXPECT_EQ(json["layout"]["yaxis"]["ticktext"], Json::array({"zero"}));
}

TEST(Pictures, LeavesAPlaceBlankForAPictureThatIsMissing) {
  PictureGrid grid{.height = 1, .width = 1};
  grid.rows = {{"a", {{}, {"", {2}}}}};
  Json json = Parsed(Pictures({"pictures", "", ""}, grid));
  EXPECT_EQ(json["data"][0]["z"][1], (Json{nullptr, nullptr, 2}));
}

TEST(Pictures, DrawsNothingForNoPictures) {
  EXPECT_EQ(Parsed(Pictures({"pictures", "", ""}, {.height = 8, .width = 8}))["data"],
            Json::array());
}

}  // namespace
}  // namespace radiograph
