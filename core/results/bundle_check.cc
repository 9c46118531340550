#include "core/results/bundle_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

using safetensors::DType;

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InternalError(absl::StrCat("the analysis left a bad result: ", parts...));
}

// Names of things of one kind, each once.
template <typename Items>
absl::StatusOr<std::set<std::string>> UniqueNames(const char* kind, const Items& items) {
  std::set<std::string> names;
  for (const auto& item : items) {
    if (item.name.empty()) return Wrong("a ", kind, " without a name");
    if (!names.insert(item.name).second) return Wrong(kind, " ", item.name, " is there twice");
  }
  return names;
}

absl::Status CheckInterval(const Metric& metric) {
  for (const std::optional<double>& end : {metric.low, metric.high, metric.level}) {
    if (end && !std::isfinite(*end))
      return Wrong("metric ", metric.name, " has an interval that is not finite");
  }
  if ((metric.low || metric.high) && !metric.level) {
    return Wrong("metric ", metric.name, " has an interval without a level");
  }
  if (metric.low && metric.high && *metric.low > *metric.high) {
    return Wrong("metric ", metric.name, " has low ", *metric.low, " above high ", *metric.high);
  }
  return absl::OkStatus();
}

absl::Status CheckMetric(const Metric& metric) {
  std::vector<std::optional<double>> values = metric.values;
  if (values.empty()) values.push_back(metric.value);
  for (const std::optional<double>& value : values) {
    if (!value && metric.reason.empty())
      return Wrong("metric ", metric.name, " is null without a reason");
    if (value && !std::isfinite(*value)) return Wrong("metric ", metric.name, " is ", *value);
  }
  return CheckInterval(metric);
}

absl::Status CheckMetrics(const Spec& spec, const Result& result) {
  ASSIGN_OR_RETURN(std::set<std::string> given, UniqueNames("metric", result.metrics));
  for (const MetricSpec& wanted : spec.metrics()) {
    if (given.erase(wanted.name) == 0) return Wrong("metric ", wanted.name, " is missing");
  }
  if (!given.empty())
    return Wrong("metric ", *given.begin(), " is not in the Spec of ", spec.name());
  for (const Metric& metric : result.metrics) RETURN_IF_ERROR(CheckMetric(metric));
  return absl::OkStatus();
}

absl::Status CheckVerdicts(const Result& result) {
  RETURN_IF_ERROR(UniqueNames("verdict", result.verdicts).status());
  for (const Verdict& verdict : result.verdicts) {
    if (std::find(verdict.one_of.begin(), verdict.one_of.end(), verdict.value) ==
        verdict.one_of.end()) {
      return Wrong("verdict ", verdict.name, " is \"", verdict.value, "\", not one of ",
                   absl::StrJoin(verdict.one_of, ", "));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTables(const Result& result) {
  RETURN_IF_ERROR(UniqueNames("table", result.tables).status());
  for (const Table& table : result.tables) {
    for (size_t i = 0; i < table.rows.size(); ++i) {
      const std::vector<Cell>& row = table.rows[i];
      if (row.size() != table.columns.size()) {
        return Wrong("table ", table.name, " has ", row.size(), " cells in row ", i, " and ",
                     table.columns.size(), " columns");
      }
      for (const Cell& cell : row) {
        const double* number = std::get_if<double>(&cell);
        if (number && !std::isfinite(*number)) {
          return Wrong("table ", table.name, " has ", *number, " in row ", i);
        }
      }
    }
  }
  return absl::OkStatus();
}

bool IsFileName(absl::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
  });
}

absl::Status CheckFigures(const Result& result) {
  RETURN_IF_ERROR(UniqueNames("figure", result.figures).status());
  for (const Figure& figure : result.figures) {
    if (!IsFileName(figure.name)) return Wrong("figure ", figure.name, " is not named [a-z0-9_]+");
    absl::StatusOr<Json> json = ParseJson(figure.plotly);
    if (!json.ok()) return Wrong("figure ", figure.name, ": ", json.status().message());
    if (!json->is_object() || !json->contains("data") || !(*json)["data"].is_array() ||
        !json->contains("layout") || !(*json)["layout"].is_object()) {
      return Wrong("figure ", figure.name, " is not {\"data\": [...], \"layout\": {...}}");
    }
    absl::StatusOr<std::string> canonical = CanonicalJson(*json);
    if (!canonical.ok() || *canonical != figure.plotly) {
      return Wrong("figure ", figure.name, " is not canonical JSON");
    }
  }
  return absl::OkStatus();
}

struct NotFinite {
  bool nan = false, infinite = false;
};

// True bits of the exponent all set: infinite without mantissa, NaN with one.
template <typename Word>
NotFinite ScanFloats(absl::string_view bytes, Word exponent, Word mantissa) {
  NotFinite found;
  for (size_t i = 0; i + sizeof(Word) <= bytes.size(); i += sizeof(Word)) {
    Word word;
    std::memcpy(&word, bytes.data() + i, sizeof(Word));
    if ((word & exponent) != exponent) continue;
    ((word & mantissa) ? found.nan : found.infinite) = true;
  }
  return found;
}

NotFinite Scan(DType dtype, absl::string_view bytes) {
  switch (dtype) {
    case DType::kF64:
      return ScanFloats<uint64_t>(bytes, 0x7FF0000000000000, 0x000FFFFFFFFFFFFF);
    case DType::kF32:
      return ScanFloats<uint32_t>(bytes, 0x7F800000, 0x007FFFFF);
    case DType::kF16:
      return ScanFloats<uint16_t>(bytes, 0x7C00, 0x03FF);
    case DType::kBF16:
      return ScanFloats<uint16_t>(bytes, 0x7F80, 0x007F);
    default:
      return {};
  }
}

absl::Status CheckArray(const Array& array) {
  if (array.axes.size() != array.shape.size()) {
    return Wrong("array ", array.name, " of shape ", safetensors::ShapeText(array.shape), " names ",
                 array.axes.size(), " axes");
  }
  const absl::StatusOr<int64_t> bytes = safetensors::TensorBytes(array.dtype, array.shape);
  if (!bytes.ok()) return Wrong("array ", array.name, ": ", bytes.status().message());
  if (*bytes != static_cast<int64_t>(array.bytes.size())) {
    return Wrong("array ", array.name, " of shape ", safetensors::ShapeText(array.shape), " needs ",
                 *bytes, " bytes and has ", array.bytes.size());
  }
  NotFinite found = Scan(array.dtype, array.bytes);
  if (found.nan && !array.nan_allowed) return Wrong("array ", array.name, " holds NaN");
  if (found.infinite) return Wrong("array ", array.name, " holds an infinity");
  return absl::OkStatus();
}

absl::Status CheckArrays(const Spec& spec, const Result& result) {
  ASSIGN_OR_RETURN(std::set<std::string> undeclared, UniqueNames("array", result.arrays));
  for (const OutputSpec& output : spec.outputs()) undeclared.erase(output.name);
  if (!undeclared.empty()) {
    return Wrong("array ", *undeclared.begin(), " is not an output of ", spec.name());
  }
  for (const Array& array : result.arrays) RETURN_IF_ERROR(CheckArray(array));
  return absl::OkStatus();
}

absl::Status CheckFindings(const Result& result) {
  std::set<std::string> names;
  for (const Metric& metric : result.metrics) names.insert(metric.name);
  for (const Table& table : result.tables) names.insert(table.name);
  for (const Figure& figure : result.figures) names.insert(figure.name);
  for (const Array& array : result.arrays) names.insert(array.name);
  for (const Finding& finding : result.findings) {
    if (finding.code.empty() || finding.text.empty())
      return Wrong("a finding without code or text");
    for (const std::string& evidence : finding.evidence) {
      if (!names.contains(evidence)) {
        return Wrong("finding ", finding.code, " names ", evidence,
                     " as evidence, which is not there");
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckResult(const Spec& spec, const Result& result) {
  RETURN_IF_ERROR(CheckMetrics(spec, result));
  RETURN_IF_ERROR(CheckVerdicts(result));
  RETURN_IF_ERROR(CheckTables(result));
  RETURN_IF_ERROR(CheckFigures(result));
  RETURN_IF_ERROR(CheckArrays(spec, result));
  return CheckFindings(result);
}

}  // namespace radiograph
