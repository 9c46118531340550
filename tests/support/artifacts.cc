#include "tests/support/artifacts.h"

#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/results/bundle_check.h"
#include "core/tensor/tensors.h"
#include "tests/support/status_matchers.h"

namespace radiograph::testing {
namespace {

class TestContext : public Context {
 public:
  explicit TestContext(const RunOptions& options) : options_(options) {}
  at::Device device() const override { return options_.device; }
  int64_t threads() const override { return at::get_num_threads(); }
  uint64_t seed() const override { return options_.seed; }
  absl::Status Progress(double fraction, absl::string_view, absl::string_view) override {
    EXPECT_GE(fraction, last_);
    EXPECT_LE(fraction, 1);
    last_ = fraction;
    return calls_++ == options_.cancel_after ? absl::CancelledError("user") : absl::OkStatus();
  }
  absl::StatusOr<std::optional<Bundle>> Load(absl::string_view key) override {
    if (options_.kept == nullptr || !options_.kept->contains(std::string(key))) return std::nullopt;
    return options_.kept->at(std::string(key));
  }
  absl::Status Save(absl::string_view key, const Bundle& bundle) override {
    if (saves_++ == options_.abort_after_saves) return absl::AbortedError("another's");
    if (options_.kept != nullptr) {
      options_.kept->insert_or_assign(std::string(key), AsKept(bundle, device()));
    }
    return absl::OkStatus();
  }

 private:
  const RunOptions options_;
  double last_ = 0;
  int64_t calls_ = 0;
  int64_t saves_ = 0;
};

Artifact Open(const std::string& path, absl::string_view config_json) {
  Artifact artifact;
  auto file = safetensors::MappedTensors::Open(path, path);
  EXPECT_OK(file);
  artifact.header.tensors = (*file)->header().tensors;
  artifact.header.architecture =
      ResolveArchitecture(artifact.header.tensors, config_json).architecture;
  for (const auto& tensor : artifact.header.tensors) artifact.file_of[tensor.name] = path;
  artifact.files[path] = *std::move(file);
  return artifact;
}

}  // namespace

Artifact ArtifactOf(const std::map<std::string, at::Tensor>& tensors,
                    absl::string_view config_json) {
  auto folder = TemporaryFolder::Make();
  EXPECT_OK(folder);
  const std::string path = folder->path() + "/model.safetensors";
  EXPECT_OK(WriteTensors(path, tensors));
  return Open(path, config_json);  // the mapping outlives the file's name
}

Artifact ArtifactFrom(const std::string& path) { return Open(path, ""); }

absl::StatusOr<Result> RunAnalysis(absl::string_view name, absl::string_view params,
                                   const std::map<std::string, Artifact>& inputs,
                                   RunOptions options) {
  ASSIGN_OR_RETURN(const Json given, ParseJson(params));
  Headers headers;
  Inputs artifacts;
  for (const auto& [input, artifact] : inputs) {
    headers.inputs[input] = {artifact.header};
    artifacts.artifacts[input] = {artifact};
  }
  for (const Analysis& analysis : Registry()) {
    if (analysis.spec().name() != name) continue;
    ASSIGN_OR_RETURN(const ParamValues values, NormalizeParams(analysis.spec(), given));
    RETURN_IF_ERROR(analysis.spec().MakePlan(values, headers).status());
    TestContext context(options);
    ASSIGN_OR_RETURN(Result result, analysis.Run(values, artifacts, context));
    RETURN_IF_ERROR(CheckResult(analysis.spec(), result));
    return result;
  }
  return absl::NotFoundError(name);
}

at::Tensor ArrayOf(const Result& result, absl::string_view name) {
  for (const Array& array : result.arrays) {
    if (array.name == name) return ToTensor(array);
  }
  ADD_FAILURE() << "no array " << name;
  return at::zeros({0});
}

const Metric& MetricOf(const Result& result, absl::string_view name) {
  for (const Metric& metric : result.metrics) {
    if (metric.name == name) return metric;
  }
  ADD_FAILURE() << "no metric " << name;
  static const auto& none = *new Metric;
  return none;
}

const Finding* FindingOf(const Result& result, absl::string_view code) {
  for (const Finding& finding : result.findings) {
    if (finding.code == code) return &finding;
  }
  return nullptr;
}

}  // namespace radiograph::testing
