#include "core/analyses/bilinear/spectrum.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/status_macros.h"
#include "core/numerics/parallel.h"
#include "core/numerics/random.h"
#include "core/numerics/spectrum.h"
#include "core/numerics/symmetric_eigen.h"

namespace radiograph::bilinear {
namespace {

// Constants, never from free memory: results must not depend on it.
constexpr int64_t kChunkRows = 1024;  // samples a batch

// Draw i of the null takes the streams kNullStream + 2 i and the next.
constexpr uint64_t kNullStream = uint64_t{1} << 32;
constexpr char kNullState[] = "null_maxima";

// body(begin, batch) over the rows of x, converted to `options`; each row makes `numbers` numbers.
absl::Status ForEachBatch(const at::Tensor& x, const at::TensorOptions& options, int64_t numbers,
                          Report report, absl::FunctionRef<void(int64_t, const at::Tensor&)> body) {
  const int64_t rows = std::clamp<int64_t>(kChunkNumbers / numbers, 1, kChunkRows);
  for (int64_t begin = 0; begin < x.size(0); begin += rows) {
    RETURN_IF_ERROR(report(static_cast<double>(begin) / x.size(0)));
    body(begin, x.narrow(0, begin, std::min(rows, x.size(0) - begin)).to(options));
  }
  return absl::OkStatus();
}

// The layer's side, rotated by a random orthogonal matrix and folded: side O G^T.
at::Tensor Rotated(const at::Tensor& side, const Coordinates& coordinates, RandomStream stream) {
  const at::Tensor rotation = HaarOrthogonal(stream, side.size(1)).to(side.options());
  return coordinates.Fold(at::matmul(side, rotation));
}

}  // namespace

double FidelityError(const BilinearLayer& layer, const at::Tensor& probes,
                     const at::Tensor& quadratic) {
  const at::Tensor exact = Outputs(layer, probes);
  at::Tensor form = quadratic + ConstantPart(layer);
  if (layer.has_linear_part())
    form = form + at::matmul(Embed(layer, probes), LinearPart(layer).t());
  const double largest = exact.abs().max().item<double>();
  const double error = (form - exact).abs().max().item<double>();
  return largest > 0 ? error / largest : error;
}

absl::StatusOr<at::Tensor> NullMaxima(const BilinearLayer& layer, const Coordinates& coordinates,
                                      int64_t draws, Context& context, Report report) {
  const int64_t outputs = layer.directions.size(0);
  at::Tensor maxima = at::empty({draws, outputs}, layer.left.options());
  ASSIGN_OR_RETURN(const std::optional<Bundle> state, context.Load(kNullState));
  int64_t done = 0;
  if (state.has_value()) {
    const at::Tensor& known = state->tensors.at("maxima");
    done = known.size(0);
    maxima.narrow(0, 0, done).copy_(known);
    RETURN_IF_ERROR(report(static_cast<double>(done) / draws));
  }
  for (int64_t draw = done; draw < draws; ++draw) {
    at::Tensor sides[] = {layer.left, layer.right};
    RETURN_IF_ERROR(ParallelFor(2, [&](int64_t side) {
      const uint64_t stream = kNullStream + 2 * static_cast<uint64_t>(draw) + side;
      sides[side] = Rotated(sides[side], coordinates, {context.seed(), stream});
      return absl::OkStatus();
    }));
    RETURN_IF_ERROR(ForEachChunk(
        layer.left.device(), outputs, MatricesAtOnce(sides[0].size(1), sides[0].size(0)),
        [&](int64_t begin, int64_t count) {
          const at::Tensor matrices =
              Interaction(layer.directions.narrow(0, begin, count), sides[0], sides[1]);
          maxima[draw].narrow(0, begin, count).copy_(Eigenvalues(matrices).select(-1, 0).abs());
          return absl::OkStatus();
        },
        [&](int64_t done) {
          return report((draw + static_cast<double>(done) / outputs) / draws);
        }));
    RETURN_IF_ERROR(report((draw + 1.0) / draws));
    RETURN_IF_ERROR(context.Save(
        kNullState, {.tensors = {{"maxima", maxima.narrow(0, 0, draw + 1)}}, .texts = {}}));
  }
  return maxima;
}

absl::StatusOr<Contributions> MeasureContributions(const Spectra& spectra, const at::Tensor& x,
                                                   Report report) {
  const int64_t outputs = spectra.eigenvectors.size(0), kept = spectra.eigenvectors.size(1);
  const at::Tensor vectors = spectra.eigenvectors.reshape({outputs * kept, -1});
  const at::Tensor values = spectra.eigenvalues.narrow(1, 0, kept).reshape(-1);
  at::Tensor sum = at::zeros({outputs * kept}, vectors.options().dtype(at::kDouble));
  at::Tensor firing = at::zeros_like(sum);
  RETURN_IF_ERROR(ForEachBatch(
      x, vectors.options(), outputs * kept, report, [&](int64_t, const at::Tensor& batch) {
        const at::Tensor contributions = at::matmul(batch, vectors.t()).square() * values;
        sum += contributions.sum(0, /*keepdim=*/false, at::kDouble);
        firing += (contributions.abs() > kFiring).sum(0);
      }));
  return Contributions{.mean = (sum / x.size(0)).reshape({outputs, kept}),
                       .firing_frequency = (firing / x.size(0)).reshape({outputs, kept})};
}

absl::StatusOr<at::Tensor> Logits(const BilinearLayer& layer, const at::Tensor& x, Report report) {
  const int64_t numbers = 2 * layer.left.size(0) + layer.directions.size(0);
  at::Tensor logits = at::empty({x.size(0), layer.directions.size(0)}, layer.left.options());
  RETURN_IF_ERROR(ForEachBatch(
      x, layer.left.options(), numbers, report, [&](int64_t begin, const at::Tensor& batch) {
        logits.narrow(0, begin, batch.size(0)).copy_(Outputs(layer, batch));
      }));
  return logits;
}

absl::StatusOr<at::Tensor> ClassCosines(const Spectra& spectra, const at::Tensor& x,
                                        const at::Tensor& labels, const at::Tensor& classes,
                                        Report report) {
  const at::Tensor& vectors = spectra.eigenvectors;  // [C, k, n]
  at::Tensor sums = at::zeros({vectors.size(0), vectors.size(2)}, vectors.options());
  RETURN_IF_ERROR(ForEachBatch(x, vectors.options(), vectors.size(0) + vectors.size(2), report,
                               [&](int64_t begin, const at::Tensor& batch) {
                                 const at::Tensor own =
                                     classes.unsqueeze(1) == labels.narrow(0, begin, batch.size(0));
                                 sums += at::matmul(own.to(vectors.options()), batch);
                               }));
  const at::Tensor means = sums / sums.norm(2, -1, /*keepdim=*/true);  // the cosine sees no length
  const at::Tensor overlaps = at::matmul(vectors, means.unsqueeze(-1)).squeeze(-1);
  return (overlaps / vectors.norm(2, -1)).abs();
}

absl::StatusOr<at::Tensor> SecondMoment(const BilinearLayer& layer, const at::Tensor& x,
                                        Report report) {
  at::Tensor sum = at::zeros({x.size(1), x.size(1)}, layer.left.options().dtype(at::kDouble));
  RETURN_IF_ERROR(
      ForEachBatch(x, sum.options(), x.size(1), report,
                   [&](int64_t, const at::Tensor& batch) { sum += at::matmul(batch.t(), batch); }));
  return sum / x.size(0);
}

}  // namespace radiograph::bilinear
