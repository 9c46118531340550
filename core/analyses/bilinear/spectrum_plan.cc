// What headers tell of a job: whether it can run, and what it will take.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/analyses/bilinear/spectrum_spec.h"
#include "core/base/status_macros.h"
#include "core/catalog/spec_builder.h"

namespace radiograph::bilinear {
namespace {

using safetensors::TensorInfo;

class Checks {
 public:
  void Add(absl::string_view field, std::string description) {
    violations_.push_back({std::string(field), std::move(description)});
  }
  absl::Status ToStatus() const {
    return violations_.empty() ? absl::OkStatus() : ViolationsStatus(violations_);
  }

 private:
  std::vector<Violation> violations_;
};

// Without the model: what parameters and data say for themselves.
void CheckParams(const SpectrumParams& params, const Headers& headers, Checks& checks) {
  const bool data = headers.Find("data") != nullptr;
  if (params.space == Space::kData && !data) {
    checks.Add("params.space", "is data, which needs the input data");
  }
  if (!params.samples.empty() && !data) checks.Add("params.samples", "needs the input data");
  if (!params.image_shape.empty() && params.image_shape.size() != 2 &&
      params.image_shape.size() != 3) {
    checks.Add("params.image_shape",
               absl::StrCat("has ", params.image_shape.size(),
                            " entries; [height, width] or [channels, height, width]"));
  }
}

void CheckShapes(const SpectrumParams& params, const LayerShapes& shapes, Checks& checks) {
  if (!params.image_shape.empty()) {
    double product = 1;
    for (const int64_t side : params.image_shape) product *= static_cast<double>(side);
    if (product != static_cast<double>(shapes.inputs)) {
      checks.Add("params.image_shape",
                 absl::StrCat("is [", absl::StrJoin(params.image_shape, ", "),
                              "]; its product must be the model's ", shapes.inputs, " inputs"));
    }
  }
  for (const int64_t row : params.rows) {
    if (row >= shapes.outputs) {
      checks.Add("params.rows",
                 absl::StrCat("has ", row, "; 0..", shapes.outputs - 1, " is allowed"));
      break;
    }
  }
  if (params.centre && shapes.outputs == 1) {
    checks.Add("params.centre", "is true, but the only output less the mean of all is zero");
  }
}

int64_t RowSize(const TensorInfo& inputs) {
  int64_t size = 1;
  for (size_t i = 1; i < inputs.shape.size(); ++i) size *= inputs.shape[i];
  return size;
}

constexpr size_t kTensorsNamed = 8;

// "it has images F32 [20, 3, 3], labels I64 [20]; name it inputs, or say --role data.inputs=images"
std::string WhatItHas(const ArtifactHeader& data) {
  std::vector<std::string> has;
  const TensorInfo* likely = nullptr;
  for (const TensorInfo& tensor : data.tensors) {
    if (has.size() < kTensorsNamed) {
      has.push_back(absl::StrCat(tensor.name, " ", safetensors::DTypeName(tensor), " ",
                                 safetensors::ShapeText(tensor.shape)));
    }
    const bool larger = likely == nullptr || tensor.bytes() > likely->bytes();
    if (tensor.shape.size() >= 2 && larger) likely = &tensor;
  }
  const size_t more = data.tensors.size() - has.size();
  const std::string named = likely == nullptr ? "TENSOR" : likely->name;
  return absl::StrCat("it has ", has.empty() ? "no tensors" : absl::StrJoin(has, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "",
                      "; name one inputs, or say --role data.inputs=", named);
}

std::string Misshapen(const TensorInfo& inputs) {
  return absl::StrCat("'", inputs.name, "' has the shape ", safetensors::ShapeText(inputs.shape));
}

// Null when there is no data.
const TensorInfo* CheckData(const Headers& headers, const LayerShapes* shapes,
                            const SpectrumParams& params, Checks& checks) {
  const ArtifactHeader* data = headers.Find("data");
  if (data == nullptr) return nullptr;
  const TensorInfo* inputs = data->Role("inputs");
  if (inputs == nullptr || inputs->shape.size() < 2) {
    checks.Add("inputs.data",
               absl::StrCat("needs a tensor of role inputs, [samples, inputs]; ",
                            inputs == nullptr ? WhatItHas(*data) : Misshapen(*inputs)));
    return nullptr;
  }
  for (const TensorInfo* tensor : {inputs, data->Role("labels")}) {
    if (tensor == nullptr) continue;
    if (const absl::Status status = CheckReadable(*tensor); !status.ok()) {
      checks.Add("inputs.data", absl::StrCat("has a ", status.message()));
    }
  }
  if (shapes != nullptr && RowSize(*inputs) != shapes->inputs) {
    checks.Add("inputs.data",
               absl::StrCat("has inputs of shape ", safetensors::ShapeText(inputs->shape),
                            "; the model reads [samples, ", shapes->inputs, "]"));
  }
  const TensorInfo* labels = data->Role("labels");
  if (labels != nullptr && labels->shape != std::vector<int64_t>{inputs->shape[0]}) {
    checks.Add("inputs.data",
               absl::StrCat("has labels of shape ", safetensors::ShapeText(labels->shape),
                            " beside inputs of shape ", safetensors::ShapeText(inputs->shape),
                            "; they are class numbers, [", inputs->shape[0], "]",
                            labels->shape.size() == 2 ? ": of one-hot rows the argmax" : ""));
  }
  if (params.space == Space::kData && inputs->shape[0] == 0) {
    checks.Add("inputs.data", "has no samples; space data needs their second moments");
  }
  for (const int64_t sample : params.samples) {
    if (sample >= inputs->shape[0]) {
      checks.Add("params.samples",
                 absl::StrCat("has ", sample, "; the data has ", inputs->shape[0], " samples"));
      break;
    }
  }
  return inputs;
}

constexpr int64_t kMatricesPerOutput = 8;  // [r, r]: Q, its scaled form, vectors, LAPACK's work
constexpr int64_t kWorkBytes = 256 << 20;  // for all outputs in work, but for large matrices
constexpr int64_t kAtOnceMin = 4, kAtOnceMax = 64;

// Peak of the process beyond its idle size, for any number of threads: never less than what is
// used, and at most 3 times that and kWorkBytes (spectrum_memory_test.cc).
struct Memory {
  double weights = 0, outputs = 0, data = 0;  // bytes that grow with each
  double all() const { return weights + outputs + data; }
};
Memory MemoryOf(const SpectrumParams& params, const LayerShapes& shapes,
                const SpectrumSizes& sizes) {
  // In doubles: shapes in a header may be so large that products of two overflow an int64_t.
  const double m = shapes.hidden, d = shapes.width, n = shapes.inputs, r = sizes.rank,
               c = sizes.outputs, k = sizes.kept, samples = sizes.samples,
               written = shapes.roles.names.contains("proj") ? shapes.written : 0,
               outputs = shapes.outputs;
  const double weights = 2 * m * d + d * n + outputs * (written + m) + written * m;
  const double folded = 2 * m * r + r * (n + d);
  const double reading = 3 * d * n;  // QR of E
  const double moments = params.space == Space::kData ? 8 * n * n : 0;
  const double one = kMatricesPerOutput * r * r + m * r + (params.samples.empty() ? 0 : r * n);
  const double at_once = std::min<double>(c, MatricesAtOnce(sizes.rank, shapes.hidden));
  const double null = sizes.null_draws > 0 ? 4 * m * d + 8 * d * d : 0;
  const double batch = 4 * std::min<double>(kChunkNumbers, samples * std::max(c * k, 2 * m + c));
  const double results = c * (k * (n + 3) + 3 * r + 16) + samples * c;
  const double solving = at_once * one + null;
  const double work = std::max({reading, moments, solving, batch});
  // Weights are there as stored and converted, results as tensors and as bytes.
  Memory memory{.weights = 8 * (1.5 * weights + folded),
                .outputs = 8 * 2 * results,
                .data = static_cast<double>(sizes.data_bytes)};
  (work == solving ? memory.outputs : work == reading ? memory.weights : memory.data) += 8 * work;
  return memory;
}

// Of parameters, what lowers the largest part; empty when only another model does.
std::string HelpOf(const Memory& memory, const SpectrumSizes& sizes) {
  if (memory.data >= std::max(memory.weights, memory.outputs)) {
    return absl::StrCat("data with fewer samples (now ", sizes.samples, ")");
  }
  if (memory.outputs < memory.weights) return "";
  return absl::StrCat("fewer outputs in rows (now ", sizes.outputs, "), a smaller k (now ",
                      sizes.kept, ")");
}

Plan Estimate(const SpectrumParams& params, const LayerShapes& shapes, const SpectrumSizes& sizes) {
  constexpr double kFlopsPerSecond = 1e10;
  constexpr double kMemoryMax = 1e18;
  const double r = sizes.rank, form = 2.0 * shapes.hidden * r * r, cube = r * r * r;
  Plan plan;
  const Memory memory = MemoryOf(params, shapes, sizes);
  plan.memory_bytes = static_cast<int64_t>(std::min(memory.all(), kMemoryMax));
  plan.memory_help = HelpOf(memory, sizes);
  plan.seconds =
      sizes.outputs * (form + 15 * cube + sizes.null_draws * (form + 4 * cube)) / kFlopsPerSecond;
  return plan;
}

}  // namespace

int64_t MatricesAtOnce(int64_t rank, int64_t hidden) {
  const double r = rank, m = hidden, each = 8 * (kMatricesPerOutput * r * r + m * r);
  return static_cast<int64_t>(std::clamp<double>(kWorkBytes / each, kAtOnceMin, kAtOnceMax));
}

SpectrumSizes SizesOf(const SpectrumParams& params, const LayerShapes& shapes,
                      const TensorInfo* data) {
  SpectrumSizes sizes;
  sizes.outputs = params.rows.empty() ? shapes.outputs : static_cast<int64_t>(params.rows.size());
  sizes.rank = params.space == Space::kEmbed ? shapes.width : std::min(shapes.inputs, shapes.width);
  sizes.kept = std::min(params.k, sizes.rank);
  sizes.values = params.solver == Solver::kTopK ? sizes.kept : sizes.rank;
  const double width = static_cast<double>(shapes.width);
  const bool cheap = static_cast<double>(sizes.outputs) * width * width * width <= kNullWorkMax;
  sizes.null_draws = params.null_draws.value_or(cheap ? kNullDraws : 0);
  sizes.samples = data == nullptr ? 0 : data->shape[0];
  sizes.data_bytes = data == nullptr ? 0 : data->bytes();
  return sizes;
}

absl::StatusOr<Plan> PlanSpectrum(const SpectrumParams& params, const Headers& headers) {
  Checks checks;
  CheckParams(params, headers, checks);
  const ArtifactHeader* model = headers.Find("model");
  if (model == nullptr) {
    CheckData(headers, nullptr, params, checks);
    RETURN_IF_ERROR(checks.ToStatus());
    return Plan{};
  }
  ASSIGN_OR_RETURN(const LayerShapes shapes,
                   ReadLayerShapes(*model, headers.Find("directions"), params.Layer()));
  CheckShapes(params, shapes, checks);
  const TensorInfo* data = CheckData(headers, &shapes, params, checks);
  RETURN_IF_ERROR(checks.ToStatus());
  return Estimate(params, shapes, SizesOf(params, shapes, data));
}

}  // namespace radiograph::bilinear
