// Data in the format that `-o` asks for.
#ifndef RADIOGRAPH_CLIENT_CLI_OUTPUT_H_
#define RADIOGRAPH_CLIENT_CLI_OUTPUT_H_

#include <google/protobuf/message.h>

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/args.h"
#include "core/base/json.h"

namespace radiograph::cli {

enum class Format { kTable, kJson, kYaml, kCsv, kName };

// `-o`, a table when it is absent; a usage error for another word.
absl::StatusOr<Format> FormatOf(const Args& args);
FlagSpec FormatFlag();

struct TextTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

// Table and CSV (RFC 4180) show the table, JSON and YAML show `json`, names are the first column.
void Print(std::ostream& out, Format format, const TextTable& table, const Json& json);

// Aligned; without a head when there are no columns.
void PrintTable(std::ostream& out, const TextTable& table);
void PrintYaml(std::ostream& out, const Json& json);

// As protobuf maps it: 64-bit integers are strings.
absl::StatusOr<Json> MessageToJson(const google::protobuf::Message& message);
// INVALID_ARGUMENT when the JSON doesn't fit.
absl::Status JsonToMessage(const Json& json, google::protobuf::Message* message);

// At most six digits, for people: "0.0123457".
std::string NumberText(double value);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_OUTPUT_H_
