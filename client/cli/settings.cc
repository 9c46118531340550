// Which server to speak to, and through which client.
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/cli.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr int64_t kConfigBytesMax = 64 << 10;

std::string Variable(const Surroundings& surroundings, const char* name) {
  const char* value = surroundings.environment(name);
  return value == nullptr ? "" : value;
}

// RADIOGRAPH_CONFIG, else radiograph/config.json in $XDG_CONFIG_HOME or ~/.config.
std::string ConfigPath(const Surroundings& surroundings) {
  std::string path = Variable(surroundings, "RADIOGRAPH_CONFIG");
  if (!path.empty()) return path;
  std::string folder = Variable(surroundings, "XDG_CONFIG_HOME");
  if (folder.empty()) folder = absl::StrCat(Variable(surroundings, "HOME"), "/.config");
  return absl::StrCat(folder, "/radiograph/config.json");
}

// "endpoint" of the config file; "" when there is no such file.
absl::StatusOr<std::string> ConfiguredEndpoint(const Surroundings& surroundings) {
  const std::string path = ConfigPath(surroundings);
  absl::StatusOr<std::string> text = ReadFile(path, kConfigBytesMax);
  bool named = !Variable(surroundings, "RADIOGRAPH_CONFIG").empty();
  if (text.status().code() == absl::StatusCode::kNotFound && !named) return "";
  if (!text.ok()) return UsageError(text.status().message());
  absl::StatusOr<Json> config = ParseJson(*text);
  if (!config.ok()) return UsageError(absl::StrCat(path, ": ", config.status().message()));
  if (!config->is_object()) return UsageError(absl::StrCat(path, ": not a JSON object"));
  std::string endpoint;
  for (const auto& [name, value] : config->items()) {
    if (name != "endpoint" || !value.is_string()) {
      return UsageError(
          absl::StrCat(path, ": \"", name, "\" is not known; {\"endpoint\": \"HOST:PORT\"} is"));
    }
    endpoint = value.get<std::string>();
  }
  return endpoint;
}

absl::string_view Label(TransferProgress::Phase phase) {
  switch (phase) {
    case TransferProgress::kHashing:
      return "Hashing";
    case TransferProgress::kSending:
      return "Sending";
    case TransferProgress::kReceiving:
      return "Receiving";
  }
  return "";
}

}  // namespace

absl::StatusOr<Client*> Cli::client(const Args& args) {
  if (client_ != nullptr) return client_.get();
  std::string endpoint = args.Get("endpoint");
  if (endpoint.empty()) endpoint = Variable(surroundings, "RADIOGRAPH_ENDPOINT");
  if (endpoint.empty()) {
    ASSIGN_OR_RETURN(endpoint, ConfiguredEndpoint(surroundings));
  }
  if (endpoint.empty()) endpoint = kDefaultEndpoint;
  ASSIGN_OR_RETURN(client_, Client::Make({.endpoint = endpoint, .retry = surroundings.retry}));
  return client_.get();
}

TransferOptions Cli::Transfer() {
  return {.on_progress =
              [this](const TransferProgress& now) {
                double total = static_cast<double>(std::max<int64_t>(now.bytes_total, 1));
                console.Bar(Label(now.phase), static_cast<double>(now.bytes_done) / total,
                            BytesText(now.bytes_total));
              },
          .stop = stop};
}

}  // namespace radiograph::cli
