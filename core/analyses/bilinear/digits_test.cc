// bilinear.spectrum on the committed networks, trained on real digits: against plain numpy, between
// two bases of one embedding, and with data.
#include <cmath>

#include "absl/strings/str_format.h"
#include "core/results/result.h"
#include "tests/support/artifacts.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"

namespace radiograph::bilinear {
namespace {

using ::radiograph::testing::ArrayOf;
using ::radiograph::testing::ArtifactFrom;
using ::radiograph::testing::Distance;
using ::radiograph::testing::FindingOf;
using ::radiograph::testing::MetricOf;
using ::radiograph::testing::RunAnalysis;

constexpr const char* kNetworks[] = {"wd0_noise0_seed0", "wd1_noise0.2_seed0",
                                     "wd1_noise0.2_seed0_gauge", "wd1_noise0.2_seed1"};

Artifact Network(const std::string& name) {
  return ArtifactFrom("tests/data/digits/" + name + "/model.safetensors");
}

std::map<std::string, Artifact> WithTestSplit(const std::string& network) {
  return {{"model", Network(network)},
          {"data", ArtifactFrom("tests/data/digits/test.safetensors")}};
}

double Largest(const at::Tensor& tensor) { return tensor.abs().max().item<double>(); }

TEST(BilinearDigits, EigenvaluesRanksAndLogitsAreNumpys) {
  const Artifact golden = ArtifactFrom("tests/data/bilinear_spectrum.golden.safetensors");
  auto expected = [&golden](const std::string& name) {
    auto tensor = golden.Tensor(name);
    EXPECT_OK(tensor);
    return *tensor;
  };
  for (const std::string name : kNetworks) {
    for (const std::string space : {"input", "embed"}) {
      ASSERT_OK_AND_ASSIGN(
          const Result result,
          RunAnalysis("bilinear.spectrum", R"({"null_draws": 0, "space": ")" + space + "\"}",
                      WithTestSplit(name)));
      const at::Tensor lambda = expected(name + ".eigenvalues_" + space);
      const double tolerance = 1e-9 * Largest(lambda);
      EXPECT_LT(Distance(ArrayOf(result, "eigenvalues"), lambda), tolerance)
          << name << " " << space;
      EXPECT_LT(
          Distance(ArrayOf(result, "effective_rank"), expected(name + ".effective_rank_" + space)),
          tolerance)
          << name << " " << space;
      EXPECT_LT(Distance(ArrayOf(result, "logits"), expected(name + ".logits")), tolerance) << name;
    }
  }
}

TEST(BilinearDigits, AnotherBasisOfTheEmbeddingChangesItsSpectrumNotThatOfTheInput) {
  auto eigenvalues = [](const std::string& network, const std::string& space) {
    auto result =
        RunAnalysis("bilinear.spectrum", R"({"null_draws": 0, "space": ")" + space + "\"}",
                    {{"model", Network(network)}});
    EXPECT_OK(result);
    return ArrayOf(*result, "eigenvalues");
  };
  const std::string one = "wd1_noise0.2_seed0", other = "wd1_noise0.2_seed0_gauge";
  const at::Tensor input = eigenvalues(one, "input"), embed = eigenvalues(one, "embed");
  EXPECT_LT(Distance(input, eigenvalues(other, "input")), 1e-9 * Largest(input));
  EXPECT_GT(Distance(embed, eigenvalues(other, "embed")), 0.1 * Largest(embed));
}

TEST(BilinearDigits, AccuracyIsThatOfTheTraining) {
  ASSERT_OK_AND_ASSIGN(const Result result,
                       RunAnalysis("bilinear.spectrum", "{}", WithTestSplit("wd1_noise0.2_seed0")));
  EXPECT_NEAR(*MetricOf(result, "accuracy").value, 0.9667, 5e-5);
  ASSERT_OK_AND_ASSIGN(const Result rows,
                       RunAnalysis("bilinear.spectrum", R"({"rows": [3], "centre": true})",
                                   WithTestSplit("wd1_noise0.2_seed0")));
  EXPECT_EQ(MetricOf(rows, "accuracy").value, MetricOf(result, "accuracy").value);
}

TEST(BilinearDigits, SubspaceIterationGivesWhatTheFullSolverGives) {
  ASSERT_OK_AND_ASSIGN(const Result full,
                       RunAnalysis("bilinear.spectrum", R"({"null_draws": 0, "k": 6})",
                                   {{"model", Network("wd1_noise0.2_seed0")}}));
  ASSERT_OK_AND_ASSIGN(
      const Result top,
      RunAnalysis("bilinear.spectrum", R"({"null_draws": 0, "k": 6, "solver": "topk"})",
                  {{"model", Network("wd1_noise0.2_seed0")}}));
  EXPECT_LT(Distance(ArrayOf(top, "eigenvalues"), ArrayOf(full, "eigenvalues").narrow(1, 0, 6)),
            1e-10);
  EXPECT_LT(Distance(ArrayOf(top, "eigenvectors_input"), ArrayOf(full, "eigenvectors_input")),
            1e-6);
  EXPECT_LE(*MetricOf(top, "residual_max").value, 1e-10);
  EXPECT_NEAR(*MetricOf(top, "stable_rank_mean").value, *MetricOf(full, "stable_rank_mean").value,
              1e-9);
}

TEST(BilinearDigits, TopKBoundsWhatNeedsTheWholeSpectrum) {
  const auto inputs = WithTestSplit("wd1_noise0.2_seed0");
  ASSERT_OK_AND_ASSIGN(const Result full, RunAnalysis("bilinear.spectrum", "{}", inputs));
  ASSERT_OK_AND_ASSIGN(
      const Result top,
      RunAnalysis("bilinear.spectrum", R"({"k": 3, "solver": "topk", "samples": [1]})", inputs));
  const Metric &bound = MetricOf(top, "effective_rank_mean"),
               &exact = MetricOf(full, "effective_rank_mean");
  EXPECT_EQ(bound.exactness, Exactness::kLowerBound);
  EXPECT_EQ(bound.low, bound.value);
  EXPECT_LT(*bound.value, *exact.value);
  EXPECT_GT(*bound.high, *exact.value);
  EXPECT_GT(*bound.value, 0.8 * *exact.value);  // three eigenvalues hold most of these spectra
  EXPECT_EQ(MetricOf(top, "entropy_rank_mean").exactness, Exactness::kLowerBound);
  EXPECT_LT(*MetricOf(top, "entropy_rank_mean").value, *MetricOf(full, "entropy_rank_mean").value);
  EXPECT_EQ(MetricOf(top, "positive_share_mean").reason, "TOP_ONLY");
  EXPECT_NE(FindingOf(top, "TOP_ONLY"), nullptr);
  // An explained output is decomposed in full: its contributions add up to the logit.
  double sum = 0;
  const Table& table = top.tables[1];
  for (const auto& row : table.rows) {
    if (row[1] == table.rows[0][1]) sum += std::get<double>(row[5]);
  }
  EXPECT_NEAR(sum, std::get<double>(table.rows[0][2]),
              0.05 * std::abs(sum));  // 10 a sign are listed
}

// Every class has more than one eigenvalue that stands out: of one alone the number is a bound.
TEST(BilinearDigits, TopKCountsSignificantEigenvaluesAsFarAsItSees) {
  const std::map<std::string, Artifact> inputs = {{"model", Network("wd1_noise0.2_seed0")}};
  ASSERT_OK_AND_ASSIGN(const Result full, RunAnalysis("bilinear.spectrum", "{}", inputs));
  auto significant = [&inputs](const char* params) {
    auto result = RunAnalysis("bilinear.spectrum", params, inputs);
    EXPECT_OK(result);
    return MetricOf(*result, "significant_mean");
  };
  const Metric one = significant(R"({"k": 1, "solver": "topk"})");
  EXPECT_EQ(one.exactness, Exactness::kLowerBound);
  EXPECT_EQ(*one.value, 1);
  const Metric twenty = significant(R"({"k": 20, "solver": "topk"})");
  EXPECT_EQ(twenty.exactness, std::nullopt);
  EXPECT_EQ(*twenty.value, *MetricOf(full, "significant_mean").value);
}

// A network that was trained stands out of its own rotations; the same seed gives the same draws.
TEST(BilinearDigits, TrainingStandsOutOfTheNull) {
  const std::map<std::string, Artifact> inputs = {{"model", Network("wd1_noise0.2_seed0")}};
  ASSERT_OK_AND_ASSIGN(const Result one,
                       RunAnalysis("bilinear.spectrum", "{}", inputs, {.seed = 1}));
  ASSERT_OK_AND_ASSIGN(const Result again,
                       RunAnalysis("bilinear.spectrum", "{}", inputs, {.seed = 1}));
  ASSERT_OK_AND_ASSIGN(const Result other,
                       RunAnalysis("bilinear.spectrum", "{}", inputs, {.seed = 2}));
  const at::Tensor threshold = ArrayOf(one, "null_threshold");
  EXPECT_TRUE(at::equal(threshold, ArrayOf(again, "null_threshold")));
  EXPECT_FALSE(at::equal(threshold, ArrayOf(other, "null_threshold")));
  const at::Tensor lambda = ArrayOf(one, "eigenvalues").abs();
  EXPECT_TRUE((lambda.select(1, 0) > threshold).all().item<bool>());
  const double significant =
      (lambda > threshold.unsqueeze(1)).sum(1).to(at::kDouble).mean().item<double>();
  EXPECT_EQ(*MetricOf(one, "significant_mean").value, significant);
  EXPECT_TRUE((ArrayOf(one, "p_values").select(1, 0) == 1.0 / 21).all().item<bool>());
  EXPECT_NE(FindingOf(one, "SIGNIFICANT"), nullptr);
}

// In space data the average of (v_j . x)^2 over the data is 1 and vectors don't overlap on the
// data.
TEST(BilinearDigits, DataSpaceVectorsAreOrthonormalOverTheData) {
  const auto inputs = WithTestSplit("wd1_noise0.2_seed0");
  ASSERT_OK_AND_ASSIGN(
      const Result result,
      RunAnalysis("bilinear.spectrum", R"({"space": "data", "null_draws": 2})", inputs));
  ASSERT_OK_AND_ASSIGN(const at::Tensor x, inputs.at("data").Tensor("inputs"));
  const at::Tensor y = at::matmul(x.to(at::kDouble), ArrayOf(result, "eigenvectors_input")[3].t());
  // Pixels that are always blank have only the ridge, 1e-9: it is missing from the data's own
  // moments.
  EXPECT_LT(Distance(at::matmul(y.t(), y) / x.size(0), at::eye(20, at::kDouble)), 1e-4);
  const at::Tensor mean = ArrayOf(result, "contributions_mean");
  const at::Tensor lambda = ArrayOf(result, "eigenvalues").narrow(1, 0, 20);
  EXPECT_LT(Distance(mean, lambda), 1e-4 * Largest(lambda));
}

TEST(BilinearDigits, ContributionsExplainTheLogits) {
  const auto inputs = WithTestSplit("wd1_noise0.2_seed0");
  ASSERT_OK_AND_ASSIGN(
      const Result result,
      RunAnalysis("bilinear.spectrum", R"({"k": 64, "samples": [7, 0], "image_shape": [8, 8]})",
                  inputs));
  // All 64 contributions of an output add up to its logit, on average too.
  EXPECT_LT(
      Distance(ArrayOf(result, "contributions_mean").sum(1), ArrayOf(result, "logits").mean(0)),
      1e-9);
  const at::Tensor logits = ArrayOf(result, "logits");
  ASSERT_EQ(result.tables.size(), 2);
  const Table& table = result.tables[1];
  EXPECT_EQ(std::get<double>(table.rows.front()[0]), 7);
  EXPECT_DOUBLE_EQ(std::get<double>(table.rows.front()[2]), Largest(logits[7].clamp_min(0)));
  std::vector<std::string> figures;
  for (const Figure& figure : result.figures) {
    figures.push_back(figure.name);
    EXPECT_FALSE(figure.plotly.empty()) << figure.name;
    EXPECT_FALSE(figure.caption.empty()) << figure.name;
  }
  EXPECT_THAT(figures, ::testing::ElementsAre("eigenvectors", "spectrum", "effective_rank",
                                              "spectral_mass", "significance", "contributions_7",
                                              "explanation_7", "contributions_0", "explanation_0"));
}

// Every class knows its own mean: the strongest vector that speaks for it is like it.
TEST(BilinearDigits, PicturesAreComparedWithTheMeanOfTheirClass) {
  const auto inputs = WithTestSplit("wd1_noise0.2_seed0");
  ASSERT_OK_AND_ASSIGN(
      const Result result,
      RunAnalysis("bilinear.spectrum", R"({"null_draws": 0, "image_shape": [8, 8], "rows": [3]})",
                  inputs));
  ASSERT_OK_AND_ASSIGN(const at::Tensor x, inputs.at("data").Tensor("inputs"));
  ASSERT_OK_AND_ASSIGN(const at::Tensor labels, inputs.at("data").Tensor("labels"));
  const at::Tensor mean = x.index({labels == 3}).to(at::kDouble).mean(0);
  const at::Tensor lambda = ArrayOf(result, "eigenvalues")[0];
  const int64_t strongest = lambda.argmax().item<int64_t>();
  const at::Tensor v = ArrayOf(result, "eigenvectors_input")[0][strongest];
  const double cosine = (v.dot(mean) / mean.norm()).abs().item<double>();
  EXPECT_GT(cosine, 0.5);
  const Figure& pictures = result.figures[0];
  EXPECT_EQ(pictures.name, "eigenvectors");
  EXPECT_THAT(pictures.plotly, ::testing::HasSubstr(absl::StrFormat(
                                   "%+.3g (%.2f)", lambda.max().item<double>(), cosine)));
}

TEST(BilinearDigits, NoiseAndWeightDecayShowInTheEffectiveRank) {
  auto rank = [](const std::string& network) {
    auto result = RunAnalysis("bilinear.spectrum", R"({"null_draws": 0, "space": "embed"})",
                              {{"model", Network(network)}});
    EXPECT_OK(result);
    return *MetricOf(*result, "effective_rank_mean").value;
  };
  EXPECT_LT(rank("wd1_noise0.2_seed0"), rank("wd0_noise0_seed0"));  // weight decay lowers it
}

}  // namespace
}  // namespace radiograph::bilinear
