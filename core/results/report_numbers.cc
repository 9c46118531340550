#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/results/html.h"
#include "core/results/report_sections.h"

namespace radiograph::report {
namespace {

using html::Escape;
using html::List;
using html::Text;

std::string Exactness(const Json& metric) {
  return absl::StrReplaceAll(Text(metric, "exactness"), {{"_", " "}});
}

// Of a metric with an index: its range and how many are undefined.
std::string Range(const Json& values) {
  double low = INFINITY, high = -INFINITY;
  int64_t undefined = 0;
  for (const Json& value : values) {
    if (!value.is_number()) {
      ++undefined;
      continue;
    }
    low = std::min(low, value.get<double>());
    high = std::max(high, value.get<double>());
  }
  std::string text =
      low > high ? "undefined" : absl::StrCat(html::Number(low), " to ", html::Number(high));
  absl::StrAppend(&text, " (", values.size(), " values");
  if (undefined > 0) absl::StrAppend(&text, ", ", undefined, " undefined");
  return absl::StrCat(text, ")");
}

std::string ValueCell(const Json& metric) {
  if (metric.contains("values")) {
    return absl::StrCat("<td class=\"number\">", Range(List(metric, "values")), "</td>");
  }
  const Json& value = html::Member(metric, "value");
  if (!value.is_null()) return html::Cell(value);
  return absl::StrCat("<td class=\"number quiet\">undefined: <code>",
                      Escape(Text(metric, "reason")), "</code></td>");
}

// Wide tables scroll sideways, long ones also up and down.
std::string Scrolling(absl::string_view table, bool is_long = false) {
  return absl::StrCat("<div class=\"scroll", is_long ? " long" : "", "\"><table>\n", table,
                      "</table></div>\n");
}

constexpr int64_t kRowsOfPage = 20;  // a longer table scrolls

// Columns that no metric fills are left out.
struct MetricColumns {
  bool interval = false, n = false;
};

std::string MetricRow(const Json& metric, const MetricColumns& columns) {
  std::string name = Text(metric, "name"), better = Text(metric, "better");
  const Json& n = html::Member(metric, "n");
  std::string row =
      absl::StrCat("<tr id=\"metrics-", Escape(name), "\"><th scope=\"row\"><code>", Escape(name),
                   "</code><br><small>", Escape(Text(metric, "description")), "</small></th>",
                   ValueCell(metric), "<td>", Escape(Text(metric, "unit")), "</td>");
  if (columns.interval)
    absl::StrAppend(&row, "<td class=\"nowrap\">", Escape(Interval(metric)), "</td>");
  if (columns.n)
    absl::StrAppend(&row, "<td class=\"number\">", n.is_number() ? html::Number(n) : "", "</td>");
  return absl::StrCat(row, "<td class=\"nowrap\">", Escape(Exactness(metric)), "</td><td>",
                      better == "none" ? "" : Escape(better), "</td></tr>\n");
}

std::string MetricsTable(const Json& result) {
  MetricColumns columns;
  for (const Json& metric : List(result, "metrics")) {
    columns.interval = columns.interval || !Interval(metric).empty();
    columns.n = columns.n || html::Member(metric, "n").is_number();
  }
  std::string rows;
  for (const Json& metric : List(result, "metrics")) rows += MetricRow(metric, columns);
  if (rows.empty()) return "";
  return Scrolling(absl::StrCat(
      "<thead><tr><th>metric</th><th class=\"number\">value</th><th>unit</th>",
      columns.interval ? "<th>interval</th>" : "", columns.n ? "<th class=\"number\">n</th>" : "",
      "<th>exactness</th><th>better</th></tr></thead>\n<tbody>\n", rows, "</tbody>\n"));
}

// True when a column holds numbers, so that its head stands above them.
bool IsNumeric(const Json& rows, size_t column) {
  for (const Json& row : rows) {
    if (row.is_array() && column < row.size() && !row[column].is_null())
      return row[column].is_number();
  }
  return false;
}

std::string OneTable(const Json& table) {
  std::string name = Text(table, "name"), head, body;
  const Json& rows = List(table, "rows");
  size_t column = 0;
  for (const Json& one : List(table, "columns")) {
    std::string unit = Text(one, "unit");
    absl::StrAppend(&head, "<th", IsNumeric(rows, column++) ? " class=\"number\"" : "", ">",
                    Escape(absl::StrReplaceAll(Text(one, "name"), {{"_", " "}})),
                    unit.empty() ? "" : absl::StrCat("<br><small>", Escape(unit), "</small>"),
                    "</th>");
  }
  for (size_t i = 0; i < std::min<size_t>(rows.size(), kRowsMax); ++i) {
    body += "<tr>";
    for (const Json& cell : rows[i]) body += html::Cell(cell);
    body += "</tr>\n";
  }
  std::string rest;
  if (rows.size() > kRowsMax) {
    rest = absl::StrCat("<p class=\"quiet\">", rows.size() - kRowsMax,
                        " more rows stand in result.json.</p>\n");
  }
  return absl::StrCat(
      "<h3 id=\"tables-", Escape(name), "\">", Escape(Spoken(name)), "</h3>\n",
      Scrolling(absl::StrCat("<thead><tr>", head, "</tr></thead>\n<tbody>\n", body, "</tbody>\n"),
                static_cast<int64_t>(rows.size()) > kRowsOfPage),
      rest);
}

// "[10, 64]" and what its dimensions are.
std::string ArrayRow(const Json& array) {
  std::string name = Text(array, "name"), axes;
  for (const Json& axis : List(array, "axes")) {
    if (!axis.is_string()) continue;
    absl::StrAppend(&axes, axes.empty() ? "" : ", ", Escape(axis.get<std::string>()));
  }
  std::string shape = absl::StrReplaceAll(List(array, "shape").dump(), {{",", ", "}});
  return absl::StrCat("<tr id=\"arrays-", Escape(name), "\"><th scope=\"row\"><code>", Escape(name),
                      "</code></th><td>", Escape(shape), "</td><td>", axes, "</td><td>",
                      Escape(Text(array, "dtype")), "</td></tr>\n");
}

std::string Arrays(const Json& result) {
  std::string rows;
  for (const Json& array : List(result, "arrays")) rows += ArrayRow(array);
  if (rows.empty()) return "";
  return absl::StrCat(
      "<h3>Arrays</h3>\n<p class=\"quiet\">In <code>arrays.safetensors</code>, every digit of "
      "them.</p>\n",
      Scrolling(absl::StrCat("<thead><tr><th>array</th><th>shape</th><th>axes</th><th>type</th></"
                             "tr></thead>\n<tbody>\n",
                             rows, "</tbody>\n")));
}

std::string Row(absl::string_view name, const Json& value) {
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  return absl::StrCat("<tr><th scope=\"row\">", Escape(name), "</th><td><code>", Escape(text),
                      "</code></td></tr>\n");
}

std::string Rows(const Json& object) {
  std::string rows;
  if (!object.is_object()) return rows;
  for (const auto& [name, value] : object.items())
    rows += Row(absl::StrReplaceAll(name, {{"_", " "}}), value);
  return rows;
}

std::string ValuesTable(absl::string_view rows) {
  return absl::StrCat("<div class=\"scroll\"><table class=\"values\"><tbody>\n", rows,
                      "</tbody></table></div>\n");
}

std::string Parameters(const Json& result) {
  std::string rows;
  const Json& params = html::Member(result, "params");
  if (params.is_object()) {
    for (const auto& [name, value] : params.items()) rows += Row(name, value);
  }
  return rows.empty() ? ""
                      : absl::StrCat("<h2 id=\"parameters\">Parameters</h2>\n", ValuesTable(rows));
}

}  // namespace

std::string Numbers(const Json& result) {
  std::string html = absl::StrCat("<h2 id=\"numbers\">All numbers</h2>\n", MetricsTable(result));
  for (const Json& table : List(result, "tables")) html += OneTable(table);
  return absl::StrCat(html, Arrays(result));
}

std::string Provenance(const Json& result, const Json& run, absl::string_view result_digest) {
  const Json& analysis = html::Member(result, "analysis");
  std::string rows = Row("analysis", absl::StrCat(Text(analysis, "name"), ", version ",
                                                  html::Member(analysis, "version").dump()));
  const Json& inputs = html::Member(result, "inputs");
  if (inputs.is_object())
    for (const auto& [name, digests] : inputs.items()) {
      for (const Json& digest : digests) rows += Row(absl::StrCat("input ", name), digest);
    }
  rows += Row("seed", html::Member(result, "seed"));
  rows += Row("result digest", Json(std::string(result_digest)));
  std::string made = Rows(html::Member(run, "engine"));
  const Json& seconds = html::Member(run, "seconds");
  if (seconds.is_number()) made += Row("seconds", Json(html::Number(seconds)));
  for (const char* peak : {"peak_host_bytes", "peak_device_bytes"}) {
    const Json& bytes = html::Member(run, peak);
    if (!bytes.is_number() || bytes == 0) continue;
    made +=
        Row(absl::StrReplaceAll(peak, {{"_bytes", " memory"}, {"_", " "}}),
            Json(absl::StrCat(html::Number(std::round(bytes.get<double>() / 1e5) / 10), " MB")));
  }
  made += Rows(html::Member(run, "notes"));
  return absl::StrCat(Parameters(result), "<h2 id=\"provenance\">Where it comes from</h2>\n",
                      ValuesTable(rows),
                      "<p class=\"quiet\">The same inputs, parameters, seed and engine give the "
                      "same digest.</p>\n<h3>Made by</h3>\n",
                      ValuesTable(made));
}

}  // namespace radiograph::report
