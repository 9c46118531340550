// What an analysis is called, takes and leaves. A Spec is the only place where names, types,
// defaults, ranges and help are written: validation, JSON Schema, client help and documents all
// read it.
//
//   struct SpectrumParams { Space space = Space::kInput; int64_t k = 20; ... };
//   SpecOf<SpectrumParams> SpectrumSpec() {
//     return SpecOf<SpectrumParams>("bilinear.spectrum", 1, "What a bilinear layer's weights look
//     for.")
//         .Param("k", &SpectrumParams::k, {.min = 1, .max = 4096}, "eigenvectors kept per output")
//         .EnumParam("space", &SpectrumParams::space, {{"input", Space::kInput}, ...}, "...")
//         .Input("model", ArtifactKind::kModel)
//         .Input("data", ArtifactKind::kDataset, {.optional = true, .roles = {"inputs", "labels"}})
//         .Output("eigenvalues", "[C, r]", "logit")
//         .Metric("effective_rank_mean", {.better = Better::kLower}, "...")
//         .Plan(&PlanSpectrum);
//   }
#ifndef RADIOGRAPH_CORE_CATALOG_SPEC_H_
#define RADIOGRAPH_CORE_CATALOG_SPEC_H_

#include <any>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/catalog/enums.h"
#include "core/catalog/headers.h"
#include "core/catalog/params.h"

namespace radiograph {

// Integers are |x| <= 2^53 - 1 whatever the range says.
struct ParamRange {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  int64_t count_max = 4096;  // entries of a list or map, bytes of a string
};

struct ParamSpec {
  std::string name = {};
  ParamKind kind;
  bool optional = false;  // null is a value of its own, and the default
  ParamRange range = {};
  std::vector<std::string> values = {};  // of an enum
  ParamValue default_value = {};
  std::string help = {};
};

struct InputOptions {
  bool optional = false;
  bool list = false;                    // an ordered list of artifacts
  std::vector<std::string> roles = {};  // of a DATASET
};
struct InputSpec {
  std::string name;
  ArtifactKind kind;
  InputOptions options;
  std::string help = {};
};

struct OutputSpec {
  std::string name, shape, unit, help;
};

struct MetricOptions {
  Better better = Better::kNone;
  Exactness exactness = Exactness::kExact;
  std::string unit = {};
};
struct MetricSpec {
  std::string name;
  MetricOptions options;
  std::string help = {};
};

// What a run will need, known from parameters and headers alone.
struct Plan {
  int64_t memory_bytes = 0;  // peak of the compute process beyond its idle size, host or device
  double seconds = 0;        // order of magnitude, on two cores
  std::vector<std::string> notes = {};
  // What would lower the memory, for who runs out of it: "fewer outputs in `rows`". Empty: nothing
  // but smaller inputs.
  std::string memory_help = {};
};

class Spec {
 public:
  const std::string& name() const { return name_; }
  int64_t version() const { return version_; }
  const std::string& summary() const { return summary_; }
  const std::vector<ParamSpec>& params() const { return params_; }
  const std::vector<InputSpec>& inputs() const { return inputs_; }
  const std::vector<OutputSpec>& outputs() const { return outputs_; }
  const std::vector<MetricSpec>& metrics() const { return metrics_; }
  const ParamSpec* FindParam(absl::string_view name) const;
  const InputSpec* FindInput(absl::string_view name) const;

  // Whether these parameters suit these inputs; absent inputs are no fault here. Violations,
  // missing tensors (NOT_FOUND with the nearest names) and refusals (FAILED_PRECONDITION) come as
  // the status. Runs without LibTorch.
  absl::StatusOr<Plan> MakePlan(const ParamValues& params, const Headers& headers) const;
  // The typed parameters, a P inside std::any. `params` come from NormalizeParams.
  std::any Decode(const ParamValues& params) const;

 protected:
  std::string name_;
  int64_t version_ = 1;
  std::string summary_;
  std::vector<ParamSpec> params_;
  std::vector<InputSpec> inputs_;
  std::vector<OutputSpec> outputs_;
  std::vector<MetricSpec> metrics_;
  // How a P is made: a copy of defaults_, whose members the setters fill, in the order of params_.
  std::any defaults_;
  std::function<void*(std::any*)> address_;
  std::vector<std::function<void(const ParamValue&, void*)>> setters_;
  std::function<absl::StatusOr<Plan>(const std::any&, const Headers&)> plan_;
};

// The builder of a Spec whose parameters are the struct P; its defaults are those of P{}.
// Kinds follow from the member's type: bool, int64_t, double, std::string, vectors of the last
// three, std::map<std::string, std::string>; each also in std::optional. Declared here, defined in
// spec_builder.h, which *_spec.cc files and the two lists of analyses include.
template <typename P>
class SpecOf;

// What is wrong with the inputs of a job before anything is known of them: unknown names, missing
// ones, several artifacts where one is taken. `counts`: number of artifacts by input name.
std::vector<Violation> InputViolations(const Spec& spec,
                                       const std::map<std::string, int64_t>& counts);

// JSON Schema (2020-12) of the parameters: what a client needs for a form or a typed call.
Json JsonSchema(const Spec& spec);

// All that a client needs to know of an analysis: {"name", "version", "summary", "params",
// "inputs", "outputs", "metrics", "json_schema"}, the JSON form of the message
// radiograph.v1.Analysis.
Json Description(const Spec& spec);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_CATALOG_SPEC_H_
