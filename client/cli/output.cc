#include "client/cli/output.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/console.h"
#include "client/cli/exit_code.h"

namespace radiograph::cli {
namespace {

// Characters, not bytes: UTF-8's continuation bytes take no place.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

void PrintCsv(std::ostream& out, const TextTable& table) {
  auto line = [&](const std::vector<std::string>& cells) {
    out << absl::StrJoin(cells, ",", [](std::string* to, const std::string& cell) {
      bool quoted = cell.find_first_of(",\"\r\n") != cell.npos;
      absl::StrAppend(
          to,
          quoted ? absl::StrCat("\"", absl::StrReplaceAll(cell, {{"\"", "\"\""}}), "\"") : cell);
    }) << "\n";
  };
  line(table.columns);
  for (const auto& row : table.rows) line(row);
}

// Plain only where YAML cannot read something else into it.
std::string YamlString(const std::string& text) {
  bool plain = !text.empty() && absl::ascii_isalpha(static_cast<unsigned char>(text[0])) &&
               std::all_of(text.begin(), text.end(), [](unsigned char c) {
                 return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '/' || c == '-';
               });
  for (absl::string_view word :
       {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"}) {
    plain = plain && !absl::EqualsIgnoreCase(text, word);
  }
  return plain ? text : JsonString(text);
}

void YamlNode(std::ostream& out, const Json& json, const std::string& indent) {
  if ((json.is_object() || json.is_array()) && !json.empty()) {
    bool first = true;
    for (const auto& [key, value] : json.items()) {
      out << (first ? "" : indent);
      first = false;
      bool nested = (value.is_object() || value.is_array()) && !value.empty();
      if (json.is_array()) {
        out << "- ";
        YamlNode(out, value, indent + "  ");
      } else {
        out << YamlString(key) << ":";
        out << (nested ? "\n" + indent + "  " : " ");
        YamlNode(out, value, indent + "  ");
      }
    }
    return;
  }
  out << (json.is_string() ? YamlString(json.get<std::string>()) : json.dump()) << "\n";
}

}  // namespace

FlagSpec FormatFlag() {
  return {.name = "o", .value = "FORMAT", .help = "table (default), json, yaml, csv or name"};
}

absl::StatusOr<Format> FormatOf(const Args& args) {
  std::string word = args.Get("o");
  if (word.empty() || word == "table") return Format::kTable;
  if (word == "json") return Format::kJson;
  if (word == "yaml") return Format::kYaml;
  if (word == "csv") return Format::kCsv;
  if (word == "name") return Format::kName;
  return UsageError(
      absl::StrCat("-o is \"", word, "\"; table, json, yaml, csv and name are allowed"));
}

void PrintTable(std::ostream& out, const TextTable& table) {
  std::vector<size_t> widths(table.columns.size());
  auto measure = [&](const std::vector<std::string>& cells) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (size_t i = 0; i < cells.size(); ++i)
      widths[i] = std::max(widths[i], Width(Printable(cells[i])));
  };
  measure(table.columns);
  for (const auto& row : table.rows) measure(row);
  auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string cell = Printable(cells[i]);
      absl::StrAppend(&text, cell, std::string(widths[i] - Width(cell) + 2, ' '));
    }
    out << absl::StripTrailingAsciiWhitespace(text) << "\n";
  };
  if (!table.columns.empty()) line(table.columns);
  for (const auto& row : table.rows) line(row);
}

void PrintYaml(std::ostream& out, const Json& json) { YamlNode(out, json, ""); }

void Print(std::ostream& out, Format format, const TextTable& table, const Json& json) {
  switch (format) {
    case Format::kTable:
      return PrintTable(out, table);
    case Format::kCsv:
      return PrintCsv(out, table);
    case Format::kJson:
      out << json.dump(2) << "\n";
      return;
    case Format::kYaml:
      return PrintYaml(out, json);
    case Format::kName:
      for (const auto& row : table.rows) out << row[0] << "\n";
  }
}

absl::StatusOr<Json> MessageToJson(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) {
    return absl::InternalError(absl::StrCat(message.GetTypeName(), " can't be written as JSON"));
  }
  return ParseJson(text, {.bytes_max = 256 << 20});
}

absl::Status JsonToMessage(const Json& json, google::protobuf::Message* message) {
  auto status = google::protobuf::util::JsonStringToMessage(json.dump(), message);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("not a ", message->GetTypeName()));
}

std::string NumberText(double value) { return absl::StrFormat("%.6g", value); }

}  // namespace radiograph::cli
