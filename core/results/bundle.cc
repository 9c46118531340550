#include "core/results/bundle.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/disk_room.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/results/bundle_check.h"
#include "core/safetensors/file.h"

namespace radiograph {
namespace {

constexpr int64_t kSchema = 1;
constexpr char kResultFile[] = "result.json";
constexpr char kArraysFile[] = "arrays.safetensors";
constexpr char kRunFile[] = "run.json";

const char* LevelName(FindingLevel level) {
  switch (level) {
    case FindingLevel::kInfo:
      return "info";
    case FindingLevel::kWarning:
      return "warning";
    case FindingLevel::kAlarm:
      return "alarm";
  }
  return "";
}

Json OptionalNumber(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json MetricJson(const MetricSpec& spec, const Metric& metric) {
  Json json = {{"name", spec.name},
               {"unit", spec.options.unit},
               {"description", spec.help},
               {"better", Name(spec.options.better)},
               {"exactness", Name(metric.exactness.value_or(spec.options.exactness))}};
  if (metric.values.empty()) {
    json["value"] = OptionalNumber(metric.value);
  } else {
    json["values"] = Json::array();
    for (const std::optional<double>& value : metric.values)
      json["values"].push_back(OptionalNumber(value));
  }
  if (!metric.reason.empty()) json["reason"] = metric.reason;
  if (metric.low) json["low"] = *metric.low;
  if (metric.high) json["high"] = *metric.high;
  if (metric.level) json["level"] = *metric.level;
  if (metric.n) json["n"] = *metric.n;
  return json;
}

// In the order of the Spec.
Json MetricsJson(const Spec& spec, const Result& result) {
  Json json = Json::array();
  for (const MetricSpec& wanted : spec.metrics()) {
    for (const Metric& metric : result.metrics) {
      if (metric.name == wanted.name) json.push_back(MetricJson(wanted, metric));
    }
  }
  return json;
}

Json TableJson(const Table& table) {
  Json columns = Json::array(), rows = Json::array();
  for (const Table::Column& column : table.columns) {
    columns.push_back({{"name", column.name}, {"unit", column.unit}});
  }
  for (const std::vector<Cell>& row : table.rows) {
    Json cells = Json::array();
    for (const Cell& cell : row) {
      if (const double* number = std::get_if<double>(&cell)) {
        cells.push_back(*number);
      } else if (const std::string* text = std::get_if<std::string>(&cell)) {
        cells.push_back(*text);
      } else {
        cells.push_back(nullptr);
      }
    }
    rows.push_back(cells);
  }
  return {{"name", table.name}, {"columns", columns}, {"rows", rows}};
}

Json FindingJson(const Finding& finding) {
  Json json = {{"code", finding.code},
               {"level", LevelName(finding.level)},
               {"text", finding.text},
               {"evidence", finding.evidence}};
  if (!finding.caveat.empty()) json["caveat"] = finding.caveat;
  return json;
}

std::string FigureFile(absl::string_view name) { return absl::StrCat("figures/", name, ".json"); }

Json ResultJson(const Spec& spec, const ResultIdentity& identity, const Result& result) {
  Json json = {{"schema", kSchema},
               {"analysis", {{"name", identity.analysis}, {"version", identity.version}}},
               {"params", ToJson(identity.params)},
               {"seed", identity.seed},
               {"inputs", identity.inputs},
               {"metrics", MetricsJson(spec, result)}};
  for (const char* list : {"verdicts", "tables", "findings", "figures", "arrays", "artifacts"}) {
    json[list] = Json::array();
  }
  for (const Verdict& one : result.verdicts) {
    json["verdicts"].push_back({{"name", one.name}, {"value", one.value}, {"one_of", one.one_of}});
  }
  for (const Table& one : result.tables) json["tables"].push_back(TableJson(one));
  for (const Finding& one : result.findings) json["findings"].push_back(FindingJson(one));
  for (const Figure& one : result.figures) {
    json["figures"].push_back({{"name", one.name},
                               {"title", one.title},
                               {"caption", one.caption},
                               {"file", FigureFile(one.name)}});
  }
  for (const Array& one : result.arrays) {
    json["arrays"].push_back({{"name", one.name},
                              {"shape", one.shape},
                              {"dtype", std::string(safetensors::DTypeName(one.dtype))},
                              {"axes", one.axes}});
  }
  return json;
}

Json RunJson(const Result& result, const RunInfo& run) {
  std::map<std::string, std::string> notes = run.notes;
  for (const auto& [name, text] : result.run_notes) notes[name] = text;
  return {{"schema", kSchema},
          {"engine", run.engine.ToJson()},
          {"seconds", run.seconds},
          {"peak_host_bytes", run.peak_host_bytes},
          {"peak_device_bytes", run.peak_device_bytes},
          {"notes", notes}};
}

absl::Status WriteJson(const std::string& path, const Json& json) {
  absl::StatusOr<std::string> text = CanonicalJson(json);
  if (!text.ok()) {  // the values are ours: what JSON can't hold is our bug
    return absl::InternalError(absl::StrCat(path, ": ", text.status().message()));
  }
  return WriteFile(path, absl::StrCat(*text, "\n"));
}

absl::Status WriteArrays(const std::string& path, const std::vector<Array>& arrays) {
  std::map<std::string, const Array*> by_name;
  std::vector<safetensors::TensorSpec> specs;
  for (const Array& array : arrays) {
    by_name[array.name] = &array;
    specs.push_back({array.name, array.dtype, array.shape});
  }
  ASSIGN_OR_RETURN(safetensors::Writer writer, safetensors::Writer::Create(path, std::move(specs)));
  for (const safetensors::TensorInfo& tensor : writer.tensors()) {
    RETURN_IF_ERROR(writer.Append(by_name.at(tensor.name)->bytes));
  }
  return writer.Finish();
}

// Names of the regular files in a folder that end in ".json"; none when there is no such folder.
absl::StatusOr<std::vector<std::string>> JsonFiles(const std::string& folder) {
  std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(folder.c_str()), &closedir);
  std::vector<std::string> names;
  if (!open) {
    if (errno == ENOENT) return names;
    return ErrnoStatus(errno, "open", folder);
  }
  while (const dirent* entry = readdir(open.get())) {
    struct stat info;
    std::string path = absl::StrCat(folder, "/", entry->d_name);
    if (absl::EndsWith(entry->d_name, ".json") && stat(path.c_str(), &info) == 0 &&
        S_ISREG(info.st_mode)) {
      names.push_back(entry->d_name);
    }
  }
  return names;
}

}  // namespace

absl::Status WriteBundle(const std::string& folder, const Spec& spec,
                         const ResultIdentity& identity, const Result& result, const RunInfo& run) {
  RETURN_IF_ERROR(CheckResult(spec, result));
  int64_t bytes = 0;  // that it needs at least
  for (const Figure& figure : result.figures) bytes += static_cast<int64_t>(figure.plotly.size());
  for (const Array& array : result.arrays) bytes += static_cast<int64_t>(array.bytes.size());
  RETURN_IF_ERROR(CheckRoom(folder, bytes, "the result"));
  RETURN_IF_ERROR(MakeFolders(absl::StrCat(folder, "/figures")));
  for (const Figure& figure : result.figures) {
    RETURN_IF_ERROR(WriteFile(absl::StrCat(folder, "/", FigureFile(figure.name)),
                              absl::StrCat(figure.plotly, "\n")));
  }
  RETURN_IF_ERROR(WriteArrays(absl::StrCat(folder, "/", kArraysFile), result.arrays));
  RETURN_IF_ERROR(WriteJson(absl::StrCat(folder, "/", kRunFile), RunJson(result, run)));
  return WriteJson(absl::StrCat(folder, "/", kResultFile), ResultJson(spec, identity, result));
}

absl::StatusOr<std::vector<std::string>> BundleFiles(const std::string& folder) {
  std::vector<std::string> names = {kArraysFile, kResultFile, kRunFile};
  for (const std::string& name : names) {
    // Opened, not only looked up: whoever lists a bundle reads it next.
    RETURN_IF_ERROR(OpenFile(absl::StrCat(folder, "/", name), O_RDONLY).status());
  }
  ASSIGN_OR_RETURN(std::vector<std::string> figures, JsonFiles(absl::StrCat(folder, "/figures")));
  for (const std::string& figure : figures) names.push_back(absl::StrCat("figures/", figure));
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::string> ResultDigest(std::vector<BundleFile> files) {
  std::sort(files.begin(), files.end(),
            [](const BundleFile& a, const BundleFile& b) { return a.name < b.name; });
  Json json = Json::array();
  for (const BundleFile& file : files) {
    if (!IsSha256(file.sha256)) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.name, ": \"", file.sha256, "\" is not a SHA-256"));
    }
    if (!json.empty() && json.back()[0] == file.name) {
      return absl::InvalidArgumentError(absl::StrCat(file.name, " is listed twice"));
    }
    if (file.name != kRunFile) json.push_back({file.name, file.sha256});
  }
  ASSIGN_OR_RETURN(std::string text, CanonicalJson(json));
  return Sha256Hex(text);
}

}  // namespace radiograph
