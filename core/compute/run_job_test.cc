#include "core/compute/run_job.h"

#include <c10/util/Exception.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/catalog/spec_builder.h"
#include "core/process/job_folder.h"
#include "core/tensor/tensors.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::HasSubstr;

// Multiplies the model's tensor "w", or does what an analysis may do wrong or for long.
struct ScaleParams {
  double factor = 2;
  std::string mode = "run";
};

// Adds up 1..10, and keeps how far it is. Fails after the sixth addition of a run.
absl::StatusOr<Result> Count(Context& context) {
  at::Tensor sum = at::zeros({1}, at::kDouble);
  int64_t next = 1, last = 6;
  ASSIGN_OR_RETURN(std::optional<Bundle> state, context.Load("sum"));
  if (state) {
    sum.copy_(state->tensors.at("sum"));
    next = state->tensors.at("next").item<int64_t>();
    last = next + 6;
  }
  for (; next <= 10; ++next) {
    if (next > last) return absl::InternalError(absl::StrCat("failed before ", next));
    sum += next;
    RETURN_IF_ERROR(context.Save(
        "sum", {.tensors = {{"sum", sum}, {"next", at::scalar_tensor(next + 1, at::kLong)}},
                .texts = {}}));
  }
  ASSIGN_OR_RETURN(const Bundle memo, context.Memo(Sha256Hex("negative"), [&] {
    return Bundle{.tensors = {{"x", -sum}}, .texts = {}};
  }));
  Result result;
  result.arrays.push_back(ToArray("scaled", {"entry"}, at::cat({sum, memo.tensors.at("x")})));
  return result;
}

absl::StatusOr<Result> Scale(const ScaleParams& params, const Inputs& inputs, Context& context) {
  if (params.mode == "count") return Count(context);
  if (params.mode == "throw") TORCH_CHECK(false, "a bug");
  while (params.mode == "loop") RETURN_IF_ERROR(context.Progress(0.5, "loop"));
  if (params.mode == "chatter") {
    for (int i = 0; i < 100'000; ++i) RETURN_IF_ERROR(context.Progress(i * 1e-5, "chatter"));
  }
  const Artifact& model = inputs.artifacts.at("model")[0];
  ASSIGN_OR_RETURN(at::Tensor w, model.Tensor("w"));
  at::Tensor scaled = (w * params.factor).contiguous();
  Result result;
  result.arrays.push_back(
      {.name = "scaled",
       .dtype = safetensors::DType::kF64,
       .shape = {scaled.size(0)},
       .axes = {"entry"},
       .bytes = std::string(static_cast<const char*>(scaled.const_data_ptr()), scaled.nbytes())});
  result.tables.push_back({.name = "said",
                           .columns = {{"text", ""}},
                           .rows = {{model.names.classes.at(0)},
                                    {absl::StrCat(context.seed())},
                                    {model.header.architecture.family}}});
  return result;
}

class RunJobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string weights = folder_.path() + "/weights", names = folder_.path() + "/names";
    ASSERT_OK_AND_ASSIGN(
        auto writer, safetensors::Writer::Create(weights, {{"w", safetensors::DType::kF64, {2}}}));
    const double values[2] = {1.5, -4};
    ASSERT_OK(writer.Append({reinterpret_cast<const char*>(values), sizeof(values)}));
    ASSERT_OK(writer.Finish());
    ASSERT_OK(WriteFile(names, R"({"classes": ["zero"]})"));
    paths_ = {{Sha256OfFile(weights)->sha256, weights}, {Sha256OfFile(names)->sha256, names}};
    JobInput model;
    model.kind = "MODEL";
    model.digest = Sha256Hex("model");
    model.files = {{"model.safetensors", Sha256OfFile(weights)->sha256},
                   {"names.json", Sha256OfFile(names)->sha256}};
    model.architecture.family = "bilinear";
    request_.analysis = "test.scale";
    request_.seed = 7;
    request_.inputs["model"] = {model};
    SpecOf<ScaleParams> spec("test.scale", 1, "Multiplies.");
    spec.Param("factor", &ScaleParams::factor, "to multiply with")
        .Param("mode", &ScaleParams::mode, "what to do")
        .Input("model", ArtifactKind::kModel)
        .Output("scaled", "[n]", "");
    analyses_ = {Analysis(spec, &Scale)};
  }

  DoneFrame Run(std::stop_token stop = {}) {
    environment_.analyses = analyses_;
    environment_.engine.threads = 1;
    job_ = absl::StrCat(folder_.path(), "/job", ++jobs_);
    EXPECT_OK(MakeJobFolder(job_, request_, paths_));
    return RunJob(
        environment_, job_, [this](const Progress& progress) { told_.push_back(progress); }, stop,
        ask_);
  }
  Json Read(const std::string& name) {
    return Json::parse(ReadFile(job_ + "/out/" + name, 1 << 20).value());
  }

  TemporaryFolder folder_ = TemporaryFolder::Make().value();
  std::map<std::string, std::string> paths_;
  JobRequest request_;
  std::vector<Analysis> analyses_;
  ComputeEnvironment environment_;
  std::string job_;
  int jobs_ = 0;
  std::vector<Progress> told_;
  AskAgent ask_;
};

TEST_F(RunJobTest, LeavesABundleOfWhatTheAnalysisSaw) {
  request_.params = {{"factor", int64_t{3}}};  // as JSON tells 3.0
  DoneFrame done = Run();
  ASSERT_OK(done.status);
  ASSERT_OK_AND_ASSIGN(
      auto arrays, safetensors::MappedTensors::Open(job_ + "/out/arrays.safetensors", "arrays"));
  double scaled[2];
  std::memcpy(scaled, arrays->Bytes(*arrays->header().Find("scaled")).data(), sizeof(scaled));
  EXPECT_EQ(scaled[0], 4.5);
  EXPECT_EQ(scaled[1], -12);
  Json result = Read("result.json");
  EXPECT_EQ(result["params"], Json::parse(R"({"factor": 3, "mode": "run"})"));
  EXPECT_EQ(result["seed"], 7);
  EXPECT_EQ(result["inputs"]["model"][0], Sha256Hex("model"));
  EXPECT_EQ(result["tables"][0]["rows"], Json::parse(R"([["zero"], ["7"], ["bilinear"]])"));
  EXPECT_EQ(Read("run.json")["engine"]["threads"], 1);
  EXPECT_GT(done.peak_host_bytes, 0);
  EXPECT_GT(done.seconds, 0);
}

TEST_F(RunJobTest, UnknownAnalysisOrVersionIsRefusedByName) {
  request_.version = 2;
  EXPECT_THAT(Run().status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("test.scale@2")));
}

TEST_F(RunJobTest, WrongParameterCarriesItsViolation) {
  request_.params = {{"factr", 1.0}};
  DoneFrame done = Run();
  EXPECT_THAT(done.status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("factr")));
  ASSERT_EQ(ViolationsOf(done.status).size(), 1u);
}

TEST_F(RunJobTest, ExceptionOfLibTorchBecomesAStatus) {
  request_.params = {{"mode", std::string("throw")}};
  EXPECT_THAT(Run().status, StatusIs(absl::StatusCode::kInternal, HasSubstr("a bug")));
}

TEST_F(RunJobTest, BrokenFileIsNamedByItsNameInTheArtifact) {
  std::string bad = folder_.path() + "/bad";
  ASSERT_OK(WriteFile(bad, "this is a pickle"));
  request_.inputs["model"][0].files[0].sha256 = Sha256Hex("bad");
  paths_[Sha256Hex("bad")] = bad;
  EXPECT_THAT(Run().status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model.safetensors")));
}

TEST_F(RunJobTest, StopEndsALoopThatReportsProgress) {
  request_.params = {{"mode", std::string("loop")}};
  std::stop_source stop;
  std::jthread canceller([&] { stop.request_stop(); });
  EXPECT_THAT(Run(stop.get_token()).status,
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("asked to stop")));
}

TEST_F(RunJobTest, GoesOnFromWhatWasSavedAndEndsWithTheSameBytes) {
  request_.params = {{"mode", std::string("count")}};
  environment_.save_pace = {.age_share = 0,
                            .age_min = absl::ZeroDuration(),
                            .age_max = absl::ZeroDuration(),
                            .cost_share = 1e9};
  std::map<std::string, std::string> kept;  // bytes by key or memo
  ask_ = [&](AskFrame::What what, const KeptName& name) -> absl::Status {
    const std::string of = name.key + name.memo;
    if (what == AskFrame::What::kSave) {
      ASSIGN_OR_RETURN(kept[of], ReadFile(SavePath(job_), 1 << 20));
      return absl::OkStatus();
    }
    if (!kept.contains(of)) return absl::NotFoundError("nothing is kept");
    return WriteFile(LoadPath(job_), kept[of]);
  };
  EXPECT_THAT(Run().status, StatusIs(absl::StatusCode::kInternal, HasSubstr("failed before 7")));
  ASSERT_OK(Run().status);
  const auto result = [this] {
    return ReadFile(job_ + "/out/arrays.safetensors", 1 << 20).value();
  };
  const std::string resumed = result();
  ASSERT_OK(Run().status);  // once more: the memo is found
  EXPECT_EQ(result(), resumed);
  ASSERT_OK_AND_ASSIGN(
      auto arrays, safetensors::MappedTensors::Open(job_ + "/out/arrays.safetensors", "arrays"));
  double scaled[2];
  std::memcpy(scaled, arrays->Bytes(*arrays->header().Find("scaled")).data(), sizeof(scaled));
  EXPECT_EQ(scaled[0], 55);
  EXPECT_EQ(scaled[1], -55);
  EXPECT_EQ(kept.size(), 2u);
}

TEST_F(RunJobTest, ProgressIsThinnedOut) {
  request_.params = {{"mode", std::string("chatter")}};
  DoneFrame done = Run();
  ASSERT_OK(done.status);
  EXPECT_GE(told_.size(), 2u);  // "start" and the first of "chatter"
  EXPECT_LE(told_.size(), 3 + done.seconds / absl::ToDoubleSeconds(kProgressInterval));
  EXPECT_EQ(told_[1].phase, "chatter");
  EXPECT_EQ(told_[1].fraction, 0);
}

}  // namespace
}  // namespace radiograph
