#include "core/compute/kept_bundles.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/process/job_folder.h"
#include "core/tensor/tensors.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

// An agent that keeps files in a folder, or answers as told.
class KeptBundlesTest : public ::testing::Test {
 protected:
  KeptBundlesTest() {
    EXPECT_OK(MakeFolders(Store()));
    options_.folder = folder_.path();
    options_.engine.threads = 1;
    options_.pace = kAlways;
  }
  std::string Store() const { return folder_.path() + "/store"; }
  std::string PathOf(const KeptName& name) const {
    return Store() + "/" + (name.key.empty() ? name.memo : name.key);
  }
  absl::Status Answer(AskFrame::What what, const KeptName& name) {
    ++asked_;
    if (!answer_.ok()) return answer_;
    if (what == AskFrame::What::kSave) {
      unlink(PathOf(name).c_str());
      return LinkOrCopy(SavePath(folder_.path()), PathOf(name));
    }
    return LinkOrCopy(PathOf(name), LoadPath(folder_.path()));
  }
  KeptBundles Make() {
    return KeptBundles(options_,
                       [this](auto what, const auto& name) { return Answer(what, name); });
  }
  // The bundle's one number; -1 for no bundle, -2 for an error.
  static double Number(const absl::StatusOr<std::optional<Bundle>>& bundle) {
    EXPECT_OK(bundle);
    if (!bundle.ok()) return -2;
    return *bundle ? (*bundle)->tensors.at("x").item<double>() : -1;
  }
  static Bundle Of(double number) {
    return {.tensors = {{"x", at::scalar_tensor(number, at::kDouble)}}, .texts = {}};
  }
  void ExpectNoFileIsLeft() {
    EXPECT_NE(access(SavePath(folder_.path()).c_str(), F_OK), 0);
    EXPECT_NE(access(LoadPath(folder_.path()).c_str(), F_OK), 0);
  }

  static constexpr SavePace kAlways = {.age_share = 0,
                                       .age_min = absl::ZeroDuration(),
                                       .age_max = absl::ZeroDuration(),
                                       .cost_share = 1e9};
  TemporaryFolder folder_ = TemporaryFolder::Make().value();
  KeptBundles::Options options_;
  absl::Status answer_;
  int asked_ = 0;
};

TEST_F(KeptBundlesTest, WhatWasSavedComesBackBitForBit) {
  const at::Tensor matrix = at::arange(12, at::kFloat).reshape({3, 4}).t() / 7;
  const Bundle bundle{.tensors = {{"matrix", matrix},
                                  {"flags", at::tensor({1, 0, 1}, at::kLong).to(at::kBool)},
                                  {"none", at::empty({0, 5}, at::kLong)},
                                  {"nan", at::scalar_tensor(std::nan(""), at::kBFloat16)}},
                      .texts = {{"phase", "\"two\"\n"}}};
  ASSERT_OK(Make().Save("all", bundle));
  KeptBundles next = Make();
  ASSERT_OK_AND_ASSIGN(std::optional<Bundle> loaded, next.Load("all"));
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->texts, bundle.texts);
  ASSERT_EQ(loaded->tensors.size(), 4u);
  for (const auto& [name, tensor] : bundle.tensors) {
    const at::Tensor& got = loaded->tensors.at(name);
    EXPECT_EQ(got.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(got.is_contiguous()) << name;
    EXPECT_EQ(ToArray(name, {}, got).bytes, ToArray(name, {}, tensor).bytes) << name;
  }
  loaded->tensors.at("matrix").fill_(0);  // memory of its own
  EXPECT_EQ(Number(next.Load("other")), -1);
  ExpectNoFileIsLeft();
}

TEST_F(KeptBundlesTest, NothingIsKeptWhereNobodyAnswers) {
  KeptBundles nowhere(options_, nullptr);
  ASSERT_OK(nowhere.Save("k", Of(1)));
  EXPECT_EQ(Number(nowhere.Load("k")), -1);
  ExpectNoFileIsLeft();
}

TEST_F(KeptBundlesTest, StateOfAnotherEngineOrNameIsNotTaken) {
  ASSERT_OK(Make().Save("k", Of(1)));
  EXPECT_EQ(Number(Make().Load("k")), 1);
  std::filesystem::copy(Store() + "/k", Store() + "/other");
  EXPECT_EQ(Number(Make().Load("other")), -1);
  options_.engine.threads = 2;
  EXPECT_EQ(Number(Make().Load("k")), -1);
}

TEST_F(KeptBundlesTest, DamageIsAsIfNothingWereThere) {
  ASSERT_OK(WriteFile(Store() + "/k", "no safetensors"));
  EXPECT_EQ(Number(Make().Load("k")), -1);
  ExpectNoFileIsLeft();
}

TEST_F(KeptBundlesTest, AFailureThatPassesEndsNothing) {
  for (auto code : {absl::StatusCode::kUnavailable, absl::StatusCode::kResourceExhausted,
                    absl::StatusCode::kInternal}) {
    KeptBundles kept = Make();
    answer_ = absl::Status(code, "for a while");
    EXPECT_OK(kept.Save("k", Of(1)));
    EXPECT_EQ(Number(kept.Load("k")), -1);
    answer_ = absl::OkStatus();
    EXPECT_OK(kept.Save("k", Of(2)));
    EXPECT_EQ(Number(kept.Load("k")), 2);
  }
  options_.folder = "/nonexistent";
  EXPECT_OK(Make().Save("k", Of(1)));
}

TEST_F(KeptBundlesTest, TheEndOfTheJobIsTold) {
  for (auto code : {absl::StatusCode::kCancelled, absl::StatusCode::kAborted}) {
    answer_ = absl::Status(code, "the end");
    KeptBundles kept = Make();
    EXPECT_THAT(kept.Save("k", Of(1)), StatusIs(code, HasSubstr("the end")));
    EXPECT_THAT(kept.Load("k"), StatusIs(code, HasSubstr("the end")));
    EXPECT_THAT(kept.Memo(Sha256Hex("m"), [] { return Of(1); }),
                StatusIs(code, HasSubstr("the end")));
  }
}

TEST_F(KeptBundlesTest, AMemoIsComputedOnce) {
  int computed = 0;
  auto compute = [&]() -> absl::StatusOr<Bundle> { return Of(++computed); };
  for (int i = 0; i < 2; ++i) {
    KeptBundles kept = Make();
    ASSERT_OK_AND_ASSIGN(const Bundle bundle, kept.Memo(Sha256Hex("m"), compute));
    EXPECT_EQ(Number(bundle), 1);
  }
  EXPECT_OK(Make().Memo(Sha256Hex("another"), compute));
  EXPECT_EQ(computed, 2);
}

TEST_F(KeptBundlesTest, AMemoIsTheSameTensorComputedOrFound) {
  auto compute = [&]() -> absl::StatusOr<Bundle> {
    return Bundle{.tensors = {{"x", at::arange(12, at::kFloat).reshape({3, 4}).t()}}, .texts = {}};
  };
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK_AND_ASSIGN(const Bundle bundle, Make().Memo(Sha256Hex("m"), compute));
    EXPECT_EQ(bundle.tensors.at("x").strides(), at::IntArrayRef({3, 1}));
  }
}

TEST_F(KeptBundlesTest, AnErrorOfTheComputationIsReturnedAndNotKept) {
  auto fail = []() -> absl::StatusOr<Bundle> { return absl::FailedPreconditionError("NaN"); };
  EXPECT_THAT(Make().Memo(Sha256Hex("m"), fail),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("NaN")));
  EXPECT_OK(Make().Memo(Sha256Hex("m"), [] { return Of(1); }));
}

TEST_F(KeptBundlesTest, MistakesOfAnAnalysisAreErrors) {
  KeptBundles kept = Make();
  EXPECT_THAT(kept.Save("no/key", Of(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no/key")));
  EXPECT_THAT(kept.Load(""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("key")));
  EXPECT_THAT(kept.Memo("m", [] { return Of(1); }),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("SHA-256")));
  Bundle bundle = Of(1);
  bundle.texts["radiograph.kept"] = "mine";
  EXPECT_THAT(kept.Save("k", bundle),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("radiograph.kept")));
}

TEST_F(KeptBundlesTest, ABundleBeyondTheLimitIsNotKept) {
  KeptBundles kept = Make();
  const at::Tensor large = at::empty({1}, at::kDouble).expand({kKeptBytesMax / 8 + 1});
  EXPECT_OK(kept.Save("k", {.tensors = {{"x", large}}, .texts = {}}));
  EXPECT_EQ(asked_, 0);
}

TEST_F(KeptBundlesTest, MostSavesDoNothing) {
  options_.pace = {.age_min = absl::Hours(1), .age_max = absl::Hours(1)};
  KeptBundles kept = Make();
  for (int i = 0; i < 1000; ++i) ASSERT_OK(kept.Save("k", Of(i)));
  EXPECT_EQ(asked_, 0);
}

TEST(SaveInterval, IsAShareOfTheTimeSoFarWithinBoundsAndCostsLittle) {
  const SavePace pace;
  const auto s = [](double seconds) { return absl::Seconds(seconds); };
  EXPECT_EQ(SaveInterval(pace, s(2), s(0)), s(1));
  EXPECT_EQ(SaveInterval(pace, s(100), s(0)), s(10));
  EXPECT_EQ(SaveInterval(pace, s(10'000), s(0)), s(60));
  EXPECT_EQ(SaveInterval(pace, s(100), s(2)), s(40));
}

}  // namespace
}  // namespace radiograph
