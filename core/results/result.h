// What an analysis leaves: metrics, verdicts, tables, findings, figures and arrays. Plain data; an
// analysis fills it, a bundle stores it, a report shows it.
#ifndef RADIOGRAPH_CORE_RESULTS_RESULT_H_
#define RADIOGRAPH_CORE_RESULTS_RESULT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/json.h"
#include "core/catalog/spec.h"
#include "core/safetensors/header.h"

namespace radiograph {

// A number, or one number for each class, layer, ... Undefined is null with a reason, never NaN and
// never missing. Unit, direction, exactness and description come from the Spec's metric of that
// name; a run that can do less or more than usual says its own exactness.
struct Metric {
  std::string name = {};
  std::optional<double> value = {};
  // Of a metric with a natural index; then `value` is unused.
  std::vector<std::optional<double>> values = {};
  std::string reason = {};                                // code, when a value is null: "NO_DRAWS"
  std::optional<double> low = {}, high = {}, level = {};  // an interval and its level
  std::optional<int64_t> n = {};
  std::optional<Exactness> exactness = {};
};

struct Verdict {
  std::string name = {}, value = {};
  std::vector<std::string> one_of = {};
};

using Cell = std::variant<std::monostate, double, std::string>;  // monostate: undefined
struct Table {
  struct Column {
    std::string name, unit;
  };
  std::string name;
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
};

enum class FindingLevel { kInfo, kWarning, kAlarm };
struct Finding {
  std::string code = {};  // "ZERO_DIRECTION"
  FindingLevel level = FindingLevel::kInfo;
  std::string text = {};                   // a sentence with its numbers
  std::vector<std::string> evidence = {};  // names of metrics, arrays, tables, figures
  std::string caveat = {};
};

// A Plotly figure: {"data": [...], "layout": {...}}; finite numbers only. See figures.h for
// builders.
struct Figure {
  std::string name;  // file name without .json
  std::string title;
  std::string caption;  // says how to read it
  std::string plotly;   // canonical JSON
};

struct Array {
  std::string name = {};
  safetensors::DType dtype = safetensors::DType::kF64;
  std::vector<int64_t> shape = {};
  std::vector<std::string> axes = {};  // "class", "rank": one for each dimension
  std::string bytes = {};              // row-major, little-endian
  bool nan_allowed = false;
};

struct Result {
  std::vector<Metric> metrics;
  std::vector<Verdict> verdicts;
  std::vector<Table> tables;
  std::vector<Finding> findings;
  std::vector<Figure> figures;
  std::vector<Array> arrays;
  // What was measured of the run itself (dtype used, draws used, seconds of phases): stands in
  // run.json, outside the result digest.
  std::map<std::string, std::string> run_notes;
};

// What a result is of. Inputs are digests by input name: the same work gives the same bytes under
// any name.
struct ResultIdentity {
  std::string analysis;
  int64_t version = 1;
  ParamValues params;
  int64_t seed = 0;
  std::map<std::string, std::vector<std::string>> inputs;
};

// Which code and machine made it.
struct Engine {
  std::string build;          // digest of the radiograph-compute binary
  std::string torch_version;  // "2.13.0+cpu"
  std::string device_kind;    // "cpu" or "cuda"
  std::string device_model;
  std::string cpu_capability;  // "AVX2"
  int64_t threads = 0;

  Json ToJson() const;
  static absl::StatusOr<Engine> FromJson(const Json& json);
};

struct RunInfo {
  Engine engine;
  double seconds = 0;
  int64_t peak_host_bytes = 0;
  int64_t peak_device_bytes = 0;
  std::map<std::string, std::string> notes;
};

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_RESULTS_RESULT_H_
