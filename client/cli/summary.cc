#include "client/cli/summary.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr int64_t kResultBytesMax = 256 << 20;
constexpr size_t kTableRowsMax = 20;

Json List(const Json& object, const char* name) {
  return object.contains(name) && object[name].is_array() ? object[name] : Json::array();
}

std::string CellText(const Json& cell) {
  if (cell.is_null()) return "-";
  if (cell.is_number()) return NumberText(cell.get<double>());
  return cell.is_string() ? cell.get<std::string>() : cell.dump();
}

// "0.12 .. 3.4 over 10", "undefined (NO_DRAWS)", "<= 5 (4 .. 6)".
std::string ValueText(const Json& metric) {
  const std::string reason = metric.value("reason", "");
  if (metric.contains("values")) {
    std::vector<double> defined;
    for (const Json& value : metric["values"]) {
      if (value.is_number()) defined.push_back(value.get<double>());
    }
    const size_t count = metric["values"].size();
    if (defined.empty()) return absl::StrCat("undefined for all ", count);
    auto [low, high] = std::minmax_element(defined.begin(), defined.end());
    return absl::StrCat(NumberText(*low), " .. ", NumberText(*high), " over ", count);
  }
  if (!metric.contains("value") || !metric["value"].is_number()) {
    return absl::StrCat("undefined", reason.empty() ? "" : absl::StrCat(" (", reason, ")"));
  }
  const std::string exactness = metric.value("exactness", "exact");
  std::string text = absl::StrCat(exactness == "upper_bound"   ? "<= "
                                  : exactness == "lower_bound" ? ">= "
                                  : exactness == "estimate"    ? "~ "
                                                               : "",
                                  CellText(metric["value"]));
  if (metric.contains("low") && metric.contains("high")) {
    absl::StrAppend(&text, " (", CellText(metric["low"]), " .. ", CellText(metric["high"]), ")");
  }
  return text;
}

TextTable MetricTable(const Json& result) {
  TextTable table{.columns = {"METRIC", "VALUE", "UNIT", "WHAT IT SAYS"}, .rows = {}};
  for (const Json& metric : List(result, "metrics")) {
    table.rows.push_back({metric.value("name", ""), ValueText(metric), metric.value("unit", ""),
                          metric.value("description", "")});
  }
  return table;
}

// Numbers in full, one a line.
TextTable MetricLines(const Json& result) {
  TextTable table{.columns = {"metric", "index", "value", "unit", "low", "high", "reason"},
                  .rows = {}};
  for (const Json& metric : List(result, "metrics")) {
    auto number = [&](const char* name) {
      return metric.contains(name) && metric[name].is_number()
                 ? JsonNumber(metric[name].get<double>())
                 : "";
    };
    auto line = [&](const std::string& index, const std::string& value) {
      table.rows.push_back({metric.value("name", ""), index, value, metric.value("unit", ""),
                            number("low"), number("high"), metric.value("reason", "")});
    };
    if (!metric.contains("values")) {
      line("", number("value"));
      continue;
    }
    int64_t index = 0;
    for (const Json& value : metric["values"]) {
      line(absl::StrCat(index++), value.is_number() ? JsonNumber(value.get<double>()) : "");
    }
  }
  return table;
}

void PrintResultTable(std::ostream& out, const Json& table) {
  TextTable text;
  for (const Json& column : List(table, "columns")) {
    const std::string unit = column.value("unit", "");
    text.columns.push_back(
        absl::StrCat(column.value("name", ""), unit.empty() ? "" : absl::StrCat(" [", unit, "]")));
  }
  const Json rows = List(table, "rows");
  for (size_t i = 0; i < std::min(rows.size(), kTableRowsMax); ++i) {
    std::vector<std::string>& cells = text.rows.emplace_back();
    for (const Json& cell : rows[i]) cells.push_back(CellText(cell));
    cells.resize(text.columns.size());
  }
  out << "\n" << Printable(table.value("name", "")) << "\n";
  PrintTable(out, text);
  if (rows.size() > kTableRowsMax)
    out << "... and " << rows.size() - kTableRowsMax << " rows more in result.json\n";
}

void PrintForPeople(std::ostream& out, const Json& result) {
  for (const Json& verdict : List(result, "verdicts")) {
    out << Printable(absl::StrCat(verdict.value("name", ""), ": ", verdict.value("value", "")))
        << "\n";
  }
  if (!List(result, "verdicts").empty()) out << "\n";
  PrintTable(out, MetricTable(result));
  for (const Json& table : List(result, "tables")) PrintResultTable(out, table);
  TextTable findings{.columns = {"FINDING", "", ""}, .rows = {}};
  for (const Json& finding : List(result, "findings")) {
    const std::string caveat = finding.value("caveat", "");
    findings.rows.push_back({finding.value("level", ""), finding.value("code", ""),
                             absl::StrCat(finding.value("text", ""),
                                          caveat.empty() ? "" : absl::StrCat(" (", caveat, ")"))});
  }
  if (findings.rows.empty()) return;
  out << "\n";
  PrintTable(out, findings);
}

}  // namespace

absl::Status PrintResult(Console& console, Format format, const std::string& folder) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(folder + "/result.json", kResultBytesMax));
  std::ostream& out = console.out();
  if (format == Format::kJson) {
    out << text << "\n";
    return absl::OkStatus();
  }
  absl::StatusOr<Json> result = ParseJson(text, {.bytes_max = kResultBytesMax});
  if (!result.ok() || !result->is_object()) {
    return absl::DataLossError(absl::StrCat(folder, "/result.json is no JSON object"));
  }
  if (format == Format::kTable) {
    PrintForPeople(out, *result);
  } else {
    Print(out, format, MetricLines(*result), *result);
  }
  return absl::OkStatus();
}

}  // namespace radiograph::cli
