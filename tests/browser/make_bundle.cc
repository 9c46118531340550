// Writes a bundle that has one of everything a report shows, with hostile names in every place that
// takes text from outside, and its report.
//   make_bundle FOLDER      leaves FOLDER/result.json, ... and FOLDER/report.html
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/catalog/spec_builder.h"
#include "core/results/bundle.h"
#include "core/results/figures.h"
#include "core/results/report.h"

namespace radiograph {
namespace {

constexpr char kHostile[] = "</script><script>alert(1)</script><b>\xe2\x80\xa8&amp;'\"";
constexpr int64_t kSide = 8;

struct NoParams {
  std::string note = kHostile;
};

Spec ExampleSpec() {
  return SpecOf<NoParams>("example.spectrum", 1, "An example.")
      .Param("note", &NoParams::note, "anything")
      .Output("eigenvalues", "[C, r]", "logit")
      .Metric("effective_rank_mean", {.better = Better::kLower, .unit = "eigenvectors"},
              "how many eigenvectors a class uses, mean over classes")
      .Metric("significant_mean", {.exactness = Exactness::kEstimate, .unit = "eigenvalues"},
              "eigenvalues above the null, mean over classes")
      .Metric("positive_share", {.unit = "fraction"}, "share of the positive eigenvalues")
      .Metric("accuracy", {.better = Better::kHigher, .unit = "fraction"}, kHostile)
      .Metric("fidelity_error", {.better = Better::kLower, .exactness = Exactness::kUpperBound},
              "self-check");
}

std::vector<std::string> Classes() {
  std::vector<std::string> classes = {kHostile};
  for (int c = 1; c < 10; ++c) classes.push_back(absl::StrCat("digit ", c));
  return classes;
}

// Falls from positive to negative through a flat middle, as the spectrum of a trained class does.
double Eigenvalue(int c, int rank) {
  double fall = 3.0 * std::exp(-0.7 * rank) - (1.5 + 0.1 * c) * std::exp(-0.5 * (63 - rank));
  return fall * (1 + 0.05 * c);
}

// A standing wave: something with a sign to look at.
Picture Wave(int c, int k) {
  Picture picture{.title = absl::StrFormat("%+.2f", Eigenvalue(c, k < 4 ? k : 59 + k - 3))};
  for (int i = 0; i < kSide * kSide; ++i) {
    double x = i % kSide / (kSide - 1.0), y = i / kSide / (kSide - 1.0);
    picture.values.push_back(0.25 * std::cos(M_PI * (k + 1) * x) * std::cos(M_PI * c * y / 3));
  }
  return picture;
}

Figure ExamplePictures() {
  PictureGrid grid{.height = kSide, .width = kSide, .limit = 0.25};
  for (int k = 0; k < 8; ++k) grid.columns.push_back(absl::StrFormat("%+d", k < 4 ? k + 1 : k - 8));
  std::vector<std::string> classes = Classes();
  for (int c = 0; c < 10; ++c) {
    PictureRow row{classes[c], {}};
    for (int k = 0; k < 8; ++k) row.pictures.push_back(Wave(c, k));
    grid.rows.push_back(row);
  }
  return Pictures({"pictures", "What each class looks for", kHostile}, grid);
}

std::vector<Figure> ExampleFigures() {
  std::vector<std::string> classes = Classes();
  std::vector<Series> spectra;
  std::vector<std::vector<double>> overlaps(10, std::vector<double>(10));
  Series ranks{.name = "effective rank"};
  for (int c = 0; c < 10; ++c) {
    Series one{.name = classes[c]};
    for (int r = 0; r < 64; ++r) one.y.push_back(Eigenvalue(c, r));
    spectra.push_back(one);
    for (int d = 0; d < 10; ++d) overlaps[c][d] = c == d ? 1 : std::sin(c * 7 + d * 3) / 2;
    ranks.y.push_back(2 + std::sin(c));
    ranks.low.push_back(1.5 + std::sin(c));
    ranks.high.push_back(3 + std::sin(c));
  }
  return {
      ExamplePictures(),
      Lines({"eigenvalues", "Eigenvalues",
             "Each line is a class, from the most positive to the most negative."},
            spectra, {.title = "rank"}, {.title = "eigenvalue", .unit = "logit"}),
      Bars({"ranks", kHostile,
            "A bar is how many eigenvectors a class uses; whiskers are 90% intervals."},
           classes, {ranks}, {.title = "class"}, {.title = "effective rank"}),
      HeatMap({"overlap", "Overlap of classes", "Red: the same direction. Blue: the opposite one."},
              overlaps, classes, classes, {}, {}, {.unit = "cosine"})};
}

Result ExampleResult() {
  Result result;
  result.metrics = {
      {.name = "effective_rank_mean",
       .value = 2.634,
       .low = 2.1,
       .high = 3.2,
       .level = 0.9,
       .n = 10},
      {.name = "significant_mean", .reason = "NO_DRAWS"},
      {.name = "positive_share", .values = {0.5, 0.62, {}, 0.4}, .reason = "ZERO_DIRECTION"},
      {.name = "accuracy", .value = 0.9666666667, .n = 360},
      {.name = "fidelity_error", .value = 1.234e-16}};
  result.verdicts = {{"low_rank", "green", {"green", "amber", "red"}},
                     {"stable", kHostile, {kHostile}}};
  result.tables = {{"classes",
                    {{"class", ""}, {"rank", "eigenvectors"}},
                    {{std::string(kHostile), 2.6}, {{}, {}}}}};
  result.findings = {{"FEW_EIGENVECTORS",
                      FindingLevel::kInfo,
                      "Each class uses 2.6 of 64 eigenvectors.",
                      {"effective_rank_mean", "eigenvalues", "ranks"},
                      ""},
                     {"ZERO_DIRECTION",
                      FindingLevel::kWarning,
                      absl::StrCat("Class ", kHostile, " has no weights."),
                      {"classes"},
                      kHostile}};
  result.figures = ExampleFigures();
  result.arrays = {{.name = "eigenvalues",
                    .dtype = safetensors::DType::kF32,
                    .shape = {1, 1},
                    .axes = {"class", "rank"},
                    .bytes = std::string(4, '\0')}};
  return result;
}

absl::Status MakeBundle(const std::string& folder) {
  ResultIdentity identity{.analysis = "example.spectrum",
                          .params = {{"note", std::string(kHostile)}},
                          .inputs = {{"model", {std::string(64, 'a')}}}};
  RunInfo run{.engine = {"b1", "2.13.0", "cpu", kHostile, "AVX2", 2},
              .seconds = 0.42,
              .peak_host_bytes = 123'456'789,
              .notes = {{"dtype", kHostile}}};
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(WriteBundle(folder, ExampleSpec(), identity, ExampleResult(), run));
  ASSIGN_OR_RETURN(std::string report, RenderReport(folder));
  return WriteFile(absl::StrCat(folder, "/report.html"), report);
}

}  // namespace
}  // namespace radiograph

int main(int argc, char** argv) {
  absl::Status status = argc == 2 ? radiograph::MakeBundle(argv[1])
                                  : absl::InvalidArgumentError("usage: make_bundle FOLDER");
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
