#include "core/analyses/bilinear/explain.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/numerics/parallel.h"
#include "core/numerics/symmetric_eigen.h"

namespace radiograph::bilinear {
namespace {

double SumTolerance(at::ScalarType dtype) { return dtype == at::kDouble ? 1e-9 : 1e-4; }

// The vector of the largest contribution of sign `sign`; undefined when there is none.
at::Tensor Strongest(const at::Tensor& contributions, const at::Tensor& vectors, double sign) {
  const auto [largest, at] = (contributions * sign).max(0);
  return largest.item<double>() > 0 ? vectors[at.item<int64_t>()] : at::Tensor();
}

struct Terms {
  at::Tensor logits, linear, constant;  // [S, C], [S, C], [C]
};

absl::StatusOr<Explanation> ExplainOne(const SymmetricEigen& eigen, const Coordinates& coordinates,
                                       const at::Tensor& x, const Terms& terms, int64_t sample,
                                       int64_t output) {
  Explanation explanation{.sample = sample,
                          .output = output,
                          .logit = terms.logits[sample][output].item<double>(),
                          .linear = terms.linear[sample][output].item<double>(),
                          .constant = terms.constant[output].item<double>(),
                          .eigenvalues = eigen.values[0],
                          .contributions = {},
                          .positive = {},
                          .negative = {}};
  const at::Tensor vectors = FixSigns(coordinates.Pictures(eigen.vectors)[0].t()).t();  // [r, n]
  explanation.contributions = explanation.eigenvalues * at::mv(vectors, x[sample]).square();
  explanation.positive = Strongest(explanation.contributions, vectors, 1);
  explanation.negative = Strongest(explanation.contributions, vectors, -1);
  const double sum =
      explanation.contributions.sum().item<double>() + explanation.linear + explanation.constant;
  const double scale = explanation.contributions.abs().sum().item<double>() +
                       std::abs(explanation.linear) + std::abs(explanation.constant);
  if (std::abs(sum - explanation.logit) > SumTolerance(x.scalar_type()) * scale) {
    return absl::InternalError(absl::StrCat("contributions to output ", output, " add up to ", sum,
                                            ", its logit is ", explanation.logit));
  }
  return explanation;
}

}  // namespace

absl::StatusOr<std::vector<Explanation>> Explain(const BilinearLayer& layer,
                                                 const Coordinates& coordinates,
                                                 const at::Tensor& x, Report report) {
  Terms terms{.logits = Outputs(layer, x), .linear = {}, .constant = ConstantPart(layer)};
  terms.linear = at::matmul(Embed(layer, x), LinearPart(layer).t());
  const int64_t explained = std::min(kExplainedOutputs, terms.logits.size(1));
  const at::Tensor top =
      std::get<1>(at::sort(terms.logits, /*stable=*/true, -1, /*descending=*/true))
          .narrow(1, 0, explained)
          .to(at::kCPU)
          .contiguous();
  const at::Tensor left = coordinates.Fold(layer.left), right = coordinates.Fold(layer.right);
  std::vector<Explanation> explanations(x.size(0) * explained);
  RETURN_IF_ERROR(ForEachChunk(
      x.device(), top.numel(), 1,
      [&](int64_t i, int64_t) -> absl::Status {
        const int64_t output = top.const_data_ptr<int64_t>()[i];
        ASSIGN_OR_RETURN(
            const SymmetricEigen eigen,
            EigenDecompose(Interaction(layer.directions.narrow(0, output, 1), left, right),
                           left.size(1)));
        ASSIGN_OR_RETURN(explanations[i],
                         ExplainOne(eigen, coordinates, x, terms, i / explained, output));
        return absl::OkStatus();
      },
      [&](int64_t done) { return report(static_cast<double>(done) / top.numel()); }));
  return explanations;
}

}  // namespace radiograph::bilinear
