// Why a layer gives one sample the logits it gives: contributions of eigenvectors, which add up to
// the logit.
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_EXPLAIN_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_EXPLAIN_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/analyses/bilinear/interaction.h"

namespace radiograph::bilinear {

inline constexpr int64_t kExplainedOutputs = 3;  // of each sample: those with the largest logits

// One output for one sample: logit = sum of contributions + linear + constant. Contributions have
// the sign of their eigenvalue: an input that overlaps with only the positive or only the negative
// vectors gives a large output, with both it cancels.
struct Explanation {
  int64_t sample = 0;  // place in `x`
  int64_t output = 0;  // place among the layer's outputs
  double logit = 0, linear = 0, constant = 0;
  at::Tensor eigenvalues = {};    // [r], |lambda| descending
  at::Tensor contributions = {};  // lambda_j (v_j . x)^2 [r]
  at::Tensor positive = {};  // v of the largest contribution [n]; undefined when none is positive
  at::Tensor negative = {};  // v of the smallest, likewise
};

// Explains samples x [S, n], on the layer's device and dtype, from eigenpairs that are there
// anyway: for each sample the outputs with the largest logits, of equals the first.
class Explainer {
 public:
  Explainer(const BilinearLayer& layer, const at::Tensor& x);

  // Whether any of the outputs [begin, begin + count) is to be explained.
  bool Wants(int64_t begin, int64_t count) const;
  // Explains `output` where it is wanted. All its eigenvalues [r] and vectors v [r, n], signs
  // fixed. INTERNAL when contributions don't add up to the logit. From any thread, once an output.
  absl::Status Explain(int64_t output, const at::Tensor& eigenvalues, const at::Tensor& vectors);

  // In the order of the samples, the largest logit first.
  std::vector<Explanation> Take() { return std::move(explanations_); }

 private:
  absl::StatusOr<Explanation> One(int64_t sample, int64_t output, const at::Tensor& eigenvalues,
                                  const at::Tensor& vectors) const;

  const at::Tensor x_;
  at::Tensor logits_, linear_, constant_;   // [S, C], [S, C], [C]
  std::multimap<int64_t, int64_t> places_;  // output -> place in explanations_
  std::vector<Explanation> explanations_;
};

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_EXPLAIN_H_
