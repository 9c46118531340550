// The spectra of all outputs.
#include <algorithm>
#include <utility>

#include "core/analyses/bilinear/spectrum.h"
#include "core/base/status_macros.h"
#include "core/numerics/parallel.h"
#include "core/numerics/spectrum.h"
#include "core/numerics/symmetric_eigen.h"

namespace radiograph::bilinear {
namespace {

constexpr uint64_t kSubspaceStream = 2;  // of random numbers

// The matrices M_c of a chunk of outputs; formed when asked for.
class Forms {
 public:
  Forms(at::Tensor directions, const at::Tensor& left, const at::Tensor& right)
      : directions_(std::move(directions)), left_(left), right_(right) {}

  const at::Tensor& matrices() {
    if (!matrices_.defined()) matrices_ = Interaction(directions_, left_, right_);
    return matrices_;
  }
  // M X of X [count or 1, r, p].
  at::Tensor Times(const at::Tensor& x) const {
    return matrices_.defined() ? at::matmul(matrices_, x)
                               : InteractionTimes(directions_, left_, right_, x);
  }
  // y^T M y of columns y [r, P]: [count, P].
  at::Tensor At(const at::Tensor& y) const { return Times(y).mul_(y).sum(-2); }
  // ||M||_F^2 / lambda_1^2 [count]; NaN for a zero matrix.
  at::Tensor StableRank(const at::Tensor& largest) const {
    if (!matrices_.defined()) {
      return InteractionSquares(directions_ / largest.unsqueeze(-1), left_, right_);
    }
    const at::Tensor norm = at::linalg_vector_norm(matrices_, 2, {-2, -1});
    return (norm / largest).square();
  }

 private:
  const at::Tensor directions_;
  const at::Tensor &left_, &right_;
  at::Tensor matrices_;
};

// One chunk of outputs, into its places of `spectra`.
class Decomposer {
 public:
  Decomposer(const BilinearLayer& layer, const Coordinates& coordinates, const at::Tensor& probes,
             const DecomposeOptions& options)
      : directions_(layer.directions),
        left_(coordinates.Fold(layer.left)),
        right_(coordinates.Fold(layer.right)),
        probes_(coordinates.Project(probes).t().contiguous()),
        coordinates_(coordinates),
        options_(options),
        rank_(left_.size(1)),
        counted_(std::min(kPixelCounts, rank_)) {
    const int64_t outputs = directions_.size(0);
    const at::TensorOptions tensor = left_.options();
    spectra_.eigenvalues = at::empty({outputs, options.values}, tensor);
    spectra_.eigenvectors = at::empty({outputs, options.kept, probes.size(1)}, tensor);
    spectra_.pixel_count = at::empty({outputs, counted_}, tensor);
    spectra_.quadratic = at::empty({probes.size(0), outputs}, tensor);
    if (top_only()) spectra_.stable_rank = at::empty({outputs}, tensor);
    residuals_ = at::zeros({outputs, 2}, at::kDouble);
  }

  absl::Status Decompose(int64_t begin, int64_t count) {
    Forms forms(directions_.narrow(0, begin, count), left_, right_);
    ASSIGN_OR_RETURN(const SymmetricEigen eigen, Pairs(begin, count, forms));
    const at::Tensor pictures = FixSigns(coordinates_.Pictures(eigen.vectors).mT()).mT();
    spectra_.eigenvalues.narrow(0, begin, count).copy_(eigen.values.narrow(1, 0, options_.values));
    spectra_.eigenvectors.narrow(0, begin, count).copy_(pictures.narrow(1, 0, options_.kept));
    spectra_.pixel_count.narrow(0, begin, count)
        .copy_(EffectiveCount(pictures.narrow(1, 0, counted_)));
    spectra_.quadratic.narrow(1, begin, count).copy_(forms.At(probes_).t());
    if (top_only()) {
      const at::Tensor largest = eigen.values.select(1, 0).abs();
      spectra_.stable_rank.narrow(0, begin, count).copy_(forms.StableRank(largest));
    }
    residuals_.narrow(0, begin, count).select(1, 0).fill_(eigen.residual_max);
    residuals_.narrow(0, begin, count).select(1, 1).fill_(eigen.orthogonality_max);
    for (int64_t c = begin; c < begin + count; ++c) {
      if (!Explained(c, 1)) continue;
      RETURN_IF_ERROR(options_.explainer->Explain(c, eigen.values[c - begin], pictures[c - begin]));
    }
    return absl::OkStatus();
  }

  int64_t at_once() const { return MatricesAtOnce(rank_, left_.size(0)); }

  Spectra Finish() {
    const at::Tensor largest = residuals_.amax(0);
    spectra_.residual_max = largest[0].item<double>();
    spectra_.orthogonality_max = largest[1].item<double>();
    return std::move(spectra_);
  }

 private:
  bool top_only() const { return options_.values < rank_; }
  bool Explained(int64_t begin, int64_t count) const {
    return options_.explainer != nullptr && options_.explainer->Wants(begin, count);
  }

  // At least the pairs that are reported; all of them where one of the outputs is explained.
  absl::StatusOr<SymmetricEigen> Pairs(int64_t begin, int64_t count, Forms& forms) const {
    if (Explained(begin, count)) return EigenDecompose(forms.matrices(), rank_);
    const int64_t vectors = std::max(options_.kept, counted_);
    if (!top_only()) return EigenDecompose(forms.matrices(), vectors);
    if (left_.size(0) >= rank_ / 2) forms.matrices();
    const auto top = TopEigen([&](const at::Tensor& x) { return forms.Times(x); },
                              {.batch = count,
                               .size = rank_,
                               .k = vectors,
                               .tensor = left_.options(),
                               .start = {options_.seed, kSubspaceStream}});
    if (top.has_value()) return *top;
    return EigenDecompose(forms.matrices(), vectors);
  }

  const at::Tensor directions_, left_, right_;
  const at::Tensor probes_;  // y [r, P]
  const Coordinates& coordinates_;
  const DecomposeOptions& options_;
  const int64_t rank_;
  const int64_t counted_;
  Spectra spectra_;
  at::Tensor residuals_;
};

}  // namespace

absl::StatusOr<Spectra> DecomposeOutputs(const BilinearLayer& layer, const Coordinates& coordinates,
                                         const at::Tensor& probes, const DecomposeOptions& options,
                                         Report report) {
  Decomposer decomposer(layer, coordinates, probes, options);
  const int64_t outputs = layer.directions.size(0);
  RETURN_IF_ERROR(ForEachChunk(
      layer.left.device(), outputs, decomposer.at_once(),
      [&](int64_t begin, int64_t count) { return decomposer.Decompose(begin, count); },
      [&](int64_t done) { return report(static_cast<double>(done) / outputs); }));
  return decomposer.Finish();
}

}  // namespace radiograph::bilinear
