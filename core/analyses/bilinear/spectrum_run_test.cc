// bilinear.spectrum as a whole: hand cases, choices, degenerate cases and errors.
#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "core/analyses/bilinear/spectrum_testing.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"

namespace radiograph::bilinear {
namespace {

using ::radiograph::testing::ArrayOf;
using ::radiograph::testing::ArtifactOf;
using ::radiograph::testing::Distance;
using ::radiograph::testing::FindingOf;
using ::radiograph::testing::Matrix;
using ::radiograph::testing::MetricOf;
using ::radiograph::testing::RunAnalysis;
using ::radiograph::testing::StatusIs;
using ::radiograph::testing::Vector;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(BilinearSpectrum, HandCase) {
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(H1()));
  const double root = std::sqrt(1.25);
  EXPECT_LT(Distance(ArrayOf(result, "eigenvalues"), Matrix({{1 + root, 1 - root}, {5, 0}})),
            1e-14);
  EXPECT_LT(Distance(ArrayOf(result, "effective_rank"), Vector({10.0 / 9, 1})), 1e-14);
  EXPECT_NEAR(*MetricOf(result, "effective_rank_mean").value, (10.0 / 9 + 1) / 2, 1e-14);
  // Q_1 = 5 v v^T with v = (2, -1) / sqrt 5; its largest entry is positive.
  EXPECT_LT(Distance(ArrayOf(result, "eigenvectors_input")[1][0], Vector({2, -1}) / std::sqrt(5)),
            1e-14);
}

TEST(BilinearSpectrum, HandCaseInInputSpace) {
  Tensors model = H1();
  model["embed.weight"] = Matrix({{1, 0, 1}, {0, 2, 0}});
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(model));
  const double root = 3 * std::sqrt(2);
  EXPECT_LT(Distance(ArrayOf(result, "eigenvalues"), Matrix({{4 + root, 4 - root}, {12, 0}})),
            1e-13);
  // As an eigenproblem in R^3, without the reduction to the row space of E.
  const at::Tensor full = at::linalg_eigvalsh(Matrix({{0, 1, 0}, {1, 8, 1}, {0, 1, 0}}));
  EXPECT_NEAR(full[2].item<double>(), 4 + root, 1e-13);
}

// x1 x2, and (x1 - x2)^2.
TEST(BilinearSpectrum, AndAndXor) {
  ASSERT_OK_AND_ASSIGN(const Result both, XRay({{"blocks.0.w_l", Matrix({{1, 0}})},
                                                {"blocks.0.w_r", Matrix({{0, 1}})},
                                                {"head.weight", Matrix({{1}})}}));
  EXPECT_LT(Distance(ArrayOf(both, "eigenvalues"), Matrix({{0.5, -0.5}})), 1e-15);
  EXPECT_NEAR(ArrayOf(both, "effective_rank").item<double>(), 2, 1e-14);
  ASSERT_OK_AND_ASSIGN(const Result either, XRay({{"blocks.0.w_l", Matrix({{1, -1}})},
                                                  {"blocks.0.w_r", Matrix({{1, -1}})},
                                                  {"head.weight", Matrix({{1}})}}));
  EXPECT_LT(Distance(ArrayOf(either, "eigenvalues"), Matrix({{2, 0}})), 1e-15);
}

TEST(BilinearSpectrum, BiasesGiveLinearAndConstantParts) {
  ASSERT_OK_AND_ASSIGN(const Result result, XRay({{"blocks.0.weight", Matrix({{1}, {1}})},
                                                  {"blocks.0.bias", Vector({2, 3})},
                                                  {"head.weight", Matrix({{1}})},
                                                  {"head.bias", Vector({0.5})}}));
  EXPECT_EQ(ArrayOf(result, "eigenvalues").item<double>(), 1);
  EXPECT_EQ(ArrayOf(result, "linear").item<double>(), 5);
  EXPECT_EQ(ArrayOf(result, "constant").item<double>(), 6.5);
  EXPECT_NE(FindingOf(result, "BIASES"), nullptr);
}

TEST(BilinearSpectrum, FusedAndSeparateWeightsAreTheSame) {
  Tensors fused = RandomModel();
  fused["blocks.0.weight"] = at::cat({fused["blocks.0.w_l"], fused["blocks.0.w_r"]});
  fused.erase("blocks.0.w_l");
  fused.erase("blocks.0.w_r");
  ASSERT_OK_AND_ASSIGN(const Result one, XRay(RandomModel()));
  ASSERT_OK_AND_ASSIGN(const Result other, XRay(fused));
  EXPECT_TRUE(at::equal(ArrayOf(one, "eigenvalues"), ArrayOf(other, "eigenvalues")));
}

TEST(BilinearSpectrum, ProjectionMapAndDirections) {
  const at::Tensor proj = Normal(5, {5, 6}), directions = Normal(6, {4, 5});
  Tensors model = {
      {"l", Normal(2, {6, 8})}, {"r", Normal(3, {6, 8})}, {"p", proj}, {"u", directions}};
  ASSERT_OK_AND_ASSIGN(
      const Result mapped,
      XRay(
          model,
          R"({"null_draws": 0, "tensors": {"left": "l", "right": "r", "proj": "p", "head": "u"}})"));
  ASSERT_OK_AND_ASSIGN(const Result folded, XRay({{"blocks.0.w_l", model["l"]},
                                                  {"blocks.0.w_r", model["r"]},
                                                  {"head.weight", at::matmul(directions, proj)}}));
  EXPECT_LT(Distance(ArrayOf(mapped, "eigenvalues"), ArrayOf(folded, "eigenvalues")), 1e-12);
  model.erase("u");
  ASSERT_OK_AND_ASSIGN(
      const Result given,
      RunAnalysis("bilinear.spectrum",
                  R"({"null_draws": 0, "tensors": {"left": "l", "right": "r", "proj": "p"}})",
                  {{"model", ArtifactOf(model)},
                   {"directions", ArtifactOf({{"directions", directions}})}}));
  EXPECT_TRUE(at::equal(ArrayOf(given, "eigenvalues"), ArrayOf(mapped, "eigenvalues")));
  EXPECT_NE(FindingOf(given, "DIRECTIONS_GIVEN"), nullptr);
}

TEST(BilinearSpectrum, RowsSelectOutputs) {
  ASSERT_OK_AND_ASSIGN(const Result all, XRay(RandomModel()));
  ASSERT_OK_AND_ASSIGN(const Result two,
                       XRay(RandomModel(), R"({"null_draws": 0, "rows": [2, 0]})"));
  const at::Tensor picked =
      ArrayOf(all, "eigenvalues").index_select(0, at::tensor({2, 0}, at::kLong));
  EXPECT_LT(Distance(ArrayOf(two, "eigenvalues"), picked), 1e-13);
}

TEST(BilinearSpectrum, CentringSubtractsTheMeanOfAllOutputs) {
  Tensors centred = RandomModel();
  centred["head.weight"] = centred["head.weight"] - centred["head.weight"].mean(0);
  ASSERT_OK_AND_ASSIGN(const Result by_hand, XRay(centred));
  ASSERT_OK_AND_ASSIGN(const Result asked,
                       XRay(RandomModel(), R"({"null_draws": 0, "centre": true})"));
  EXPECT_LT(Distance(ArrayOf(asked, "eigenvalues"), ArrayOf(by_hand, "eigenvalues")), 1e-12);
}

TEST(BilinearSpectrum, RankIsAtMostTwiceTheNeurons) {
  ASSERT_OK_AND_ASSIGN(const Result result, XRay({{"blocks.0.w_l", Normal(1, {1, 6})},
                                                  {"blocks.0.w_r", Normal(2, {1, 6})},
                                                  {"head.weight", Matrix({{2}})}}));
  // m = 1: p (l . r +- |l| |r|) / 2.
  const at::Tensor l = Normal(1, {6}), r = Normal(2, {6});
  const double dot = l.dot(r).item<double>(), norms = (l.norm() * r.norm()).item<double>();
  const at::Tensor lambda = ArrayOf(result, "eigenvalues")[0];
  const double expected[] = {dot + norms, dot - norms};
  EXPECT_NEAR(lambda.max().item<double>(), expected[0], 1e-12);
  EXPECT_NEAR(lambda.min().item<double>(), expected[1], 1e-12);
  EXPECT_LT(lambda.narrow(0, 2, 4).abs().max().item<double>(), 1e-13);
}

TEST(BilinearSpectrum, FewerInputsThanWidth) {
  Tensors model = RandomModel();
  model["embed.weight"] = Normal(9, {8, 3});
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(model));
  EXPECT_EQ(ArrayOf(result, "eigenvalues").sizes(), (at::IntArrayRef{3, 3}));
  EXPECT_EQ(ArrayOf(result, "eigenvectors_input").sizes(), (at::IntArrayRef{3, 3, 3}));
  EXPECT_NE(FindingOf(result, "K_CLAMPED"), nullptr);
}

TEST(BilinearSpectrum, WidthOne) {
  ASSERT_OK_AND_ASSIGN(
      const Result result,
      XRay({{"blocks.0.weight", Matrix({{2}, {-3}})}, {"head.weight", Matrix({{5}})}}, "{}"));
  EXPECT_EQ(ArrayOf(result, "eigenvalues").item<double>(), -30);
  EXPECT_EQ(ArrayOf(result, "effective_rank").item<double>(), 1);
  EXPECT_EQ(ArrayOf(result, "pixel_count").sizes(), (at::IntArrayRef{1, 1}));
}

TEST(BilinearSpectrum, AZeroDirectionIsAWarningNotAnError) {
  Tensors model = RandomModel();
  model["head.weight"][1].zero_();
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(model, "{}"));
  EXPECT_EQ(ArrayOf(result, "eigenvalues")[1].abs().max().item<double>(), 0);
  EXPECT_TRUE(ArrayOf(result, "effective_rank")[1].isnan().item<bool>());
  const Finding* finding = FindingOf(result, "ZERO_DIRECTION");
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->level, FindingLevel::kWarning);
  EXPECT_EQ(*MetricOf(result, "effective_rank_mean").n, 2);
  model["head.weight"].zero_();
  ASSERT_OK_AND_ASSIGN(const Result nothing, XRay(model, "{}"));
  EXPECT_EQ(MetricOf(nothing, "effective_rank_mean").value, std::nullopt);
  EXPECT_EQ(MetricOf(nothing, "effective_rank_mean").reason, "ZERO_DIRECTION");
}

TEST(BilinearSpectrum, HalfPrecisionWeightsAreRead) {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16, at::kFloat}) {
    Tensors narrow = RandomModel(), wide = narrow;
    for (auto& [name, tensor] : narrow) {
      tensor = tensor.to(dtype);
      wide[name] = tensor.to(at::kDouble);
    }
    ASSERT_OK_AND_ASSIGN(const Result from_narrow, XRay(narrow));
    ASSERT_OK_AND_ASSIGN(const Result from_wide, XRay(wide));
    EXPECT_TRUE(at::equal(ArrayOf(from_narrow, "eigenvalues"), ArrayOf(from_wide, "eigenvalues")));
  }
}

TEST(BilinearSpectrum, Float32IsCloseToFloat64) {
  ASSERT_OK_AND_ASSIGN(const Result exact, XRay(RandomModel()));
  ASSERT_OK_AND_ASSIGN(const Result single,
                       XRay(RandomModel(), R"({"null_draws": 0, "precision": "float32"})"));
  const at::Tensor lambda = ArrayOf(exact, "eigenvalues");
  EXPECT_EQ(ArrayOf(single, "eigenvalues").scalar_type(), at::kFloat);
  EXPECT_LT(Distance(ArrayOf(single, "eigenvalues").to(at::kDouble), lambda),
            1e-5 * lambda.abs().max().item<double>());
}

TEST(BilinearSpectrum, NaNIsRefusedByTensorAndIndex) {
  Tensors model = RandomModel();
  model["blocks.0.w_r"] = model["blocks.0.w_r"].clone();
  model["blocks.0.w_r"][1][3] = std::nan("");
  EXPECT_THAT(XRay(model),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("blocks.0.w_r"), HasSubstr("nan at flat index 11"))));
}

TEST(BilinearSpectrum, CancelEndsTheRun) {
  EXPECT_THAT(RunAnalysis("bilinear.spectrum", "{}", {{"model", ArtifactOf(RandomModel())}},
                          {.cancel_after = 1}),
              StatusIs(absl::StatusCode::kCancelled, "user"));
}

TEST(BilinearSpectrum, AssumingBilinearIsTheFirstFinding) {
  const Artifact model = ArtifactOf(RandomModel(), R"({"hidden_act": "silu"})");
  ASSERT_OK_AND_ASSIGN(
      const Result result,
      RunAnalysis("bilinear.spectrum", R"({"assume_bilinear": true})", {{"model", model}}));
  EXPECT_EQ(result.findings.front().code, "ASSUMED_BILINEAR");
  EXPECT_THAT(result.findings.front().text, HasSubstr("silu"));
}

TEST(BilinearSpectrum, WhatConfigSaysAndNobodyHeedsIsFirstAndKeepsFaithfulnessFromGreen) {
  const auto run = [](absl::string_view config) {
    return RunAnalysis("bilinear.spectrum", kNoDraws,
                       {{"model", ArtifactOf(RandomModel(), config)}});
  };
  for (const char* config : {R"({"normalization": "layernorm"})", R"({"residual_scale": 0.5})",
                             R"({"d_model": 8, "mlp": {"clip": 3}})", "not JSON"}) {
    ASSERT_OK_AND_ASSIGN(const Result result, run(config));
    EXPECT_EQ(result.findings.front().code, "UNHEEDED_CONFIG") << config;
    EXPECT_EQ(result.verdicts.front().value, "amber") << config;
  }
  for (const char* config : {"", "{}", R"({"normalization": null, "d_model": 8, "lr": 0.1})"}) {
    ASSERT_OK_AND_ASSIGN(const Result result, run(config));
    EXPECT_EQ(FindingOf(result, "UNHEEDED_CONFIG"), nullptr) << config;
    EXPECT_EQ(result.verdicts.front().value, "green") << config;
  }
}

TEST(BilinearSpectrum, BytesDoNotDependOnThreads) {
  Tensors model = RandomModel();
  model.erase("embed.weight");
  const int before = at::get_num_threads();
  std::vector<Result> results;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    ASSERT_OK_AND_ASSIGN(Result result, XRay(model, "{}"));
    results.push_back(std::move(result));
  }
  at::set_num_threads(before);
  for (const Result& result : results) {
    ASSERT_EQ(result.arrays.size(), results[0].arrays.size());
    for (size_t i = 0; i < result.arrays.size(); ++i) {
      EXPECT_EQ(result.arrays[i].bytes, results[0].arrays[i].bytes) << result.arrays[i].name;
    }
  }
}

TEST(BilinearSpectrum, AMisspeltOptionalTensorIsWarnedOf) {
  Tensors model = RandomModel();
  EXPECT_EQ(FindingOf(*XRay(model), "UNREAD_TENSORS"), nullptr);
  model["embde.weight"] = Normal(31, {6, 6});
  ASSERT_OK_AND_ASSIGN(const Result result, XRay(model));
  const Finding* finding = FindingOf(result, "UNREAD_TENSORS");
  ASSERT_NE(finding, nullptr);
  EXPECT_THAT(finding->text, HasSubstr("embde.weight"));
}

TEST(BilinearSpectrum, OneLayerOfSeveralIsSaidToBeOne) {
  Tensors model = RandomModel();
  model["blocks.1.w_l"] = Normal(31, {6, 6});
  model["blocks.1.w_r"] = Normal(32, {6, 6});
  ASSERT_OK_AND_ASSIGN(const Result last, XRay(model));
  ASSERT_NE(FindingOf(last, "ONE_LAYER"), nullptr);
  EXPECT_EQ(ArrayOf(last, "eigenvectors_input").size(-1),
            6);  // reads what layer 0 writes, not the input
  ASSERT_OK_AND_ASSIGN(const Result first, XRay(model, R"({"null_draws": 0, "layer": 0})"));
  EXPECT_EQ(ArrayOf(first, "eigenvectors_input").size(-1), 12);
}

TEST(BilinearSpectrum, GoesOnFromTheDrawsThatAreDoneWithTheSameBytes) {
  const std::map<std::string, Artifact> inputs = {{"model", ArtifactOf(RandomModel())}};
  for (const char* params : {R"({"null_draws": 9})", R"({"null_draws": 9, "solver": "topk"})",
                             R"({"null_draws": 9, "precision": "float32"})"}) {
    ASSERT_OK_AND_ASSIGN(const Result whole,
                         RunAnalysis("bilinear.spectrum", params, inputs, {.seed = 3}));
    for (int64_t saves : {1, 5, 8, 9}) {
      std::map<std::string, Bundle> kept;
      testing::RunOptions options = {.seed = 3, .kept = &kept, .abort_after_saves = saves};
      auto first = RunAnalysis("bilinear.spectrum", params, inputs, options);
      EXPECT_EQ(first.ok(), saves == 9) << "the last save is the ninth";
      ASSERT_EQ(kept.size(), 1u);
      EXPECT_EQ(kept.begin()->second.tensors.at("maxima").size(0), saves);
      options.abort_after_saves = 9 - saves;  // no more than the draws that are left
      ASSERT_OK_AND_ASSIGN(const Result resumed,
                           RunAnalysis("bilinear.spectrum", params, inputs, options));
      ASSERT_EQ(resumed.arrays.size(), whole.arrays.size());
      for (size_t i = 0; i < whole.arrays.size(); ++i) {
        EXPECT_EQ(resumed.arrays[i].bytes, whole.arrays[i].bytes) << whole.arrays[i].name;
      }
      for (size_t i = 0; i < whole.metrics.size(); ++i) {
        EXPECT_EQ(resumed.metrics[i].value, whole.metrics[i].value) << whole.metrics[i].name;
      }
    }
  }
}

}  // namespace
}  // namespace radiograph::bilinear
