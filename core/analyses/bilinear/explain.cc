#include "core/analyses/bilinear/explain.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace radiograph::bilinear {
namespace {

double SumTolerance(at::ScalarType dtype) { return dtype == at::kDouble ? 1e-9 : 1e-4; }

// The vector of the largest contribution of sign `sign`; undefined when there is none.
at::Tensor Strongest(const at::Tensor& contributions, const at::Tensor& vectors, double sign) {
  const auto [largest, at] = (contributions * sign).max(0);
  return largest.item<double>() > 0 ? vectors[at.item<int64_t>()] : at::Tensor();
}

}  // namespace

Explainer::Explainer(const BilinearLayer& layer, const at::Tensor& x)
    : x_(x),
      logits_(Outputs(layer, x)),
      linear_(at::matmul(Embed(layer, x), LinearPart(layer).t())),
      constant_(ConstantPart(layer)) {
  const int64_t explained = std::min(kExplainedOutputs, logits_.size(1));
  const at::Tensor top = std::get<1>(at::sort(logits_, /*stable=*/true, -1, /*descending=*/true))
                             .narrow(1, 0, explained)
                             .to(at::kCPU)
                             .contiguous();
  for (int64_t place = 0; place < top.numel(); ++place) {
    places_.emplace(top.const_data_ptr<int64_t>()[place], place);
    explanations_.push_back({.sample = place / explained});
  }
}

bool Explainer::Wants(int64_t begin, int64_t count) const {
  const auto first = places_.lower_bound(begin);
  return first != places_.end() && first->first < begin + count;
}

absl::Status Explainer::Explain(int64_t output, const at::Tensor& eigenvalues,
                                const at::Tensor& vectors) {
  const auto [begin, end] = places_.equal_range(output);
  for (auto place = begin; place != end; ++place) {
    Explanation& explanation = explanations_[place->second];
    ASSIGN_OR_RETURN(explanation, One(explanation.sample, output, eigenvalues, vectors));
  }
  return absl::OkStatus();
}

absl::StatusOr<Explanation> Explainer::One(int64_t sample, int64_t output,
                                           const at::Tensor& eigenvalues,
                                           const at::Tensor& vectors) const {
  Explanation explanation{.sample = sample,
                          .output = output,
                          .logit = logits_[sample][output].item<double>(),
                          .linear = linear_[sample][output].item<double>(),
                          .constant = constant_[output].item<double>(),
                          .eigenvalues = eigenvalues,
                          .contributions = eigenvalues * at::mv(vectors, x_[sample]).square()};
  explanation.positive = Strongest(explanation.contributions, vectors, 1);
  explanation.negative = Strongest(explanation.contributions, vectors, -1);
  const double sum =
      explanation.contributions.sum().item<double>() + explanation.linear + explanation.constant;
  const double scale = explanation.contributions.abs().sum().item<double>() +
                       std::abs(explanation.linear) + std::abs(explanation.constant);
  if (std::abs(sum - explanation.logit) > SumTolerance(x_.scalar_type()) * scale) {
    return absl::InternalError(absl::StrCat("contributions to output ", output, " add up to ", sum,
                                            ", its logit is ", explanation.logit));
  }
  return explanation;
}

}  // namespace radiograph::bilinear
