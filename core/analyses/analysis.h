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
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
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
  // By their names in the artifact.
  std::map<std::string, std::shared_ptr<const safetensors::MappedTensors>> files;
  std::map<std::string, std::string> file_of;  // tensor -> name of its file

  // In the stored dtype, on the CPU, in place when aligned. NOT_FOUND with the nearest names.
  absl::StatusOr<at::Tensor> Tensor(absl::string_view name) const;
};

struct Inputs {
  std::map<std::string, std::vector<Artifact>> artifacts;  // by input name
  // The first artifact of an input; null when the input is absent.
  const Artifact* Find(absl::string_view input) const;
};

// What is kept: tensors of any dtype that safetensors has, and texts. At most kKeptBytesMax
// (process/keeper.h).
struct Bundle {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> texts;
};
// The same numbers as they come back from where they are kept: contiguous, in memory of their own,
// on `device`. Strides and alignment change the bytes of what is computed from a tensor.
Bundle AsKept(const Bundle& bundle, at::Device device);

// What the process gives to a running analysis. Used by one thread.
//
// Load, Save and Memo may answer from what an equal engine (build, library, device, threads) has
// kept, never another's. With and without what was kept a result must have the same bytes, so keep
// numbers as they are, and go on with them as a run that has just computed them would: copy what
// was loaded into the tensors of the loop. What is kept is a help and no more: where nothing keeps
// (`radiograph run --local`), or the server or its disk fails, a job runs as if nothing were there.
class Context {
 public:
  virtual ~Context() = default;
  virtual at::Device device() const = 0;
  virtual int64_t threads() const = 0;
  virtual uint64_t seed() const = 0;
  // Call at least once per chunk and once a second. CANCELLED once the job is to stop: return it.
  virtual absl::Status Progress(double fraction, absl::string_view phase,
                                absl::string_view message = "") = 0;

  // Of a Context that keeps nothing, if it is not overridden.
  //
  // The state of this job that Save has kept under `key` (1..64 of [A-Za-z0-9_.-]; at most 16
  // keys), in this attempt or one before: after a crash, a lost worker, a drain or the server's
  // restart. Nullopt: there is none, begin at the beginning. Dropped when the job ends. CANCELLED:
  // return it.
  virtual absl::StatusOr<std::optional<Bundle>> Load(absl::string_view key);
  // Call it where the loop could go on: once a chunk, as often as Progress. It is for loops of more
  // than some seconds. Most calls do nothing: a state is kept when the last of that key is a tenth
  // of the job's time so far old (at least a second, at most a minute), and saving takes at most a
  // twentieth of the time. Waits until it is kept, and replaces what was under `key`; what belongs
  // together belongs into one bundle. OK, too, when it could not be kept, which passes: the state
  // before stays. CANCELLED, or ABORTED once the job is another worker's: return it.
  virtual absl::Status Save(absl::string_view key, const Bundle& bundle);
  // What `compute` makes, or what another job of the tenant has made before. `digest` is the
  // SHA-256 of all that determines the bundle but the engine: what is computed, its version, and
  // from what (digests of inputs, parameters, seed). For parts that take seconds and that other
  // jobs need, too: one model of a series, one chunk of data. Forgotten when it is not used for
  // long. An error of `compute` is returned as it is.
  virtual absl::StatusOr<Bundle> Memo(absl::string_view digest,
                                      absl::FunctionRef<absl::StatusOr<Bundle>()> compute);
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
