// bilinear.spectrum: which input directions drive each output of a bilinear layer, how strongly,
// with which sign, and how many of them count. README.md in this folder is the user's page.
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_SPEC_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_SPEC_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/analyses/bilinear/layer_shapes.h"
#include "core/catalog/headers.h"
#include "core/catalog/spec.h"

namespace radiograph::bilinear {

enum class Space { kInput, kEmbed, kData };
enum class Solver { kFull, kTopK };
enum class Precision { kFloat64, kFloat32 };

struct SpectrumParams {
  Space space = Space::kInput;
  bool centre = false;
  int64_t k = 20;
  Solver solver = Solver::kFull;
  std::optional<int64_t> null_draws = {};
  int64_t layer = -1;
  std::vector<int64_t> rows = {};
  std::vector<int64_t> image_shape = {};
  std::vector<int64_t> samples = {};
  bool assume_bilinear = false;
  Precision precision = Precision::kFloat64;
  std::map<std::string, std::string> tensors = {};

  LayerRequest Layer() const { return {layer, tensors, assume_bilinear}; }
};

// What follows from parameters and shapes, for Plan and run alike.
struct SpectrumSizes {
  int64_t outputs = 0;  // C: rows analysed
  int64_t rank = 0;     // r: eigenvalues of each
  int64_t kept = 0;     // eigenvectors of each: k, at most r
  int64_t values = 0;   // eigenvalues of each: r, or k with solver=topk
  int64_t null_draws = 0;
  int64_t samples = 0;  // N of the data, 0 without
  int64_t data_bytes = 0;

  bool top_only() const { return values < rank; }
};
inline constexpr int64_t kNullDraws = 20;
inline constexpr int64_t kNullWorkMax =
    1'000'000'000;  // of C d^3: beyond it the default is no draws
SpectrumSizes SizesOf(const SpectrumParams& params, const LayerShapes& shapes,
                      const safetensors::TensorInfo* data);

// Constants and functions of shapes alone, never of free memory: results depend on them.
inline constexpr int64_t kChunkNumbers = 1 << 20;  // that a batch of samples makes
// Matrices [r, r], of m neurons, in work at a time: threads on the CPU, a batch elsewhere.
int64_t MatricesAtOnce(int64_t rank, int64_t hidden);

SpecOf<SpectrumParams> SpectrumSpec();
absl::StatusOr<Plan> PlanSpectrum(const SpectrumParams& params, const Headers& headers);

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_SPECTRUM_SPEC_H_
