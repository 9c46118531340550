// How an analysis runs: a pure function of inputs, parameters, seed and engine.
//   absl::StatusOr<Result> Spectrum(const SpectrumParams& params, const Inputs& inputs, Context&
//   context);
#ifndef RADIOGRAPH_CORE_ANALYSES_ANALYSIS_H_
#define RADIOGRAPH_CORE_ANALYSES_ANALYSIS_H_

#include <ATen/core/Tensor.h>

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/artifact/names.h"
#include "core/catalog/headers.h"
#include "core/catalog/spec.h"
#include "core/results/result.h"
#include "core/safetensors/file.h"

namespace radiograph {

// One artifact given to an input, its tensors mapped.
struct Artifact {
  std::string digest;
  ArtifactHeader header;
  Names names;
  std::vector<std::shared_ptr<const safetensors::MappedTensors>> files;

  // In the stored dtype, on the CPU, in place when aligned. NOT_FOUND with the nearest names.
  absl::StatusOr<at::Tensor> Tensor(absl::string_view name) const;
};

struct Inputs {
  std::map<std::string, std::vector<Artifact>> artifacts;  // by input name
  // The first artifact of an input; null when the input is absent.
  const Artifact* Find(absl::string_view input) const;
};

// What the process gives to a running analysis. Used by one thread.
class Context {
 public:
  virtual ~Context() = default;
  virtual at::Device device() const = 0;
  virtual int64_t threads() const = 0;
  virtual uint64_t seed() const = 0;
  // Call at least once per chunk and once a second. CANCELLED once the job is to stop: return it.
  virtual absl::Status Progress(double fraction, absl::string_view phase,
                                absl::string_view message = "") = 0;
};

class Analysis {
 public:
  // A pair that doesn't fit does not compile.
  template <typename P>
  Analysis(const SpecOf<P>& spec, absl::StatusOr<Result> (*run)(const P&, const Inputs&, Context&))
      : spec_(spec), run_([run](const std::any& params, const Inputs& inputs, Context& context) {
          return run(std::any_cast<const P&>(params), inputs, context);
        }) {}

  const Spec& spec() const { return spec_; }
  // `params` come from NormalizeParams. Runs inside RunTorch: no exception leaves.
  absl::StatusOr<Result> Run(const ParamValues& params, const Inputs& inputs,
                             Context& context) const;

 private:
  Spec spec_;
  std::function<absl::StatusOr<Result>(const std::any&, const Inputs&, Context&)> run_;
};

// All analyses of this build, in the order of Catalog().
const std::vector<Analysis>& Registry();

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_ANALYSES_ANALYSIS_H_
