// Which server to speak to, and through which client.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/cli.h"
#include "core/base/address.h"
#include "core/base/credentials.h"
#include "core/base/file.h"
#include "core/base/home.h"
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
  if (!absl::StartsWith(folder, "/"))
    folder = absl::StrCat(Variable(surroundings, "HOME"), "/.config");
  return absl::StrCat(folder, "/radiograph/config.json");
}

struct Setting {
  std::string source;  // "--ca", "RADIOGRAPH_CA", or the config file and its key; empty: not set
  std::string value;
};

// The path in a setting; those of flags are expanded already.
absl::StatusOr<std::string> PathOf(const Setting& setting, const Surroundings& surroundings) {
  absl::StatusOr<std::string> path = ExpandHome(setting.value, surroundings.environment("HOME"));
  if (path.ok()) return path;
  return UsageError(
      absl::StrCat(setting.source, " is \"", setting.value, "\"; ", path.status().message()));
}

constexpr const char* kConfigured[] = {"endpoint", "token", "ca", "cert", "key"};

// The config file's settings; none when there is no such file.
absl::StatusOr<std::map<std::string, std::string>> ReadConfig(const Surroundings& surroundings) {
  std::map<std::string, std::string> settings;
  ASSIGN_OR_RETURN(const std::string path,
                   PathOf({"RADIOGRAPH_CONFIG", ConfigPath(surroundings)}, surroundings));
  absl::StatusOr<std::string> text = ReadFile(path, kConfigBytesMax);
  bool named = !Variable(surroundings, "RADIOGRAPH_CONFIG").empty();
  if (text.status().code() == absl::StatusCode::kNotFound && !named) return settings;
  if (!text.ok()) return UsageError(text.status().message());
  absl::StatusOr<Json> config = ParseJson(WithoutByteOrderMark(*text));
  if (!config.ok()) return UsageError(absl::StrCat(path, ": ", config.status().message()));
  if (!config->is_object()) return UsageError(absl::StrCat(path, ": not a JSON object"));
  for (const auto& [name, value] : config->items()) {
    const bool known =
        std::find(std::begin(kConfigured), std::end(kConfigured), name) != std::end(kConfigured);
    if (!known || !value.is_string()) {
      return UsageError(absl::StrCat(path, ": \"", name, "\" is not known, or no text; ",
                                     absl::StrJoin(kConfigured, ", "),
                                     " are allowed, each a text"));
    }
    settings[name] = value.get<std::string>();
  }
  return settings;
}

// A setting of the connection: argument, environment, config file. What is set on the command line
// is not empty, as `--ca $UNSET` would be: that must not be less safe without a word. An empty
// variable is not set.
absl::StatusOr<Setting> FindSetting(const std::string& name, const Args& args,
                                    const Surroundings& surroundings,
                                    const std::map<std::string, std::string>& config) {
  if (args.Has(name)) {
    if (args.Get(name).empty()) return UsageError(absl::StrCat("--", name, " is empty"));
    return Setting{absl::StrCat("--", name), args.Get(name)};
  }
  const std::string variable = absl::StrCat("RADIOGRAPH_", absl::AsciiStrToUpper(name));
  if (std::string value = Variable(surroundings, variable.c_str()); !value.empty()) {
    return Setting{variable, value};
  }
  auto found = config.find(name);
  if (found == config.end()) return Setting();
  const std::string source = absl::StrCat(ConfigPath(surroundings), ": \"", name, "\"");
  if (found->second.empty()) return UsageError(absl::StrCat(source, " is empty"));
  return Setting{source, found->second};
}

absl::StatusOr<ClientOptions> ParseSettings(const Args& args, const Surroundings& surroundings) {
  ClientOptions options{.retry = surroundings.retry};
  ASSIGN_OR_RETURN(const auto config, ReadConfig(surroundings));
  auto find = [&](const char* name) { return FindSetting(name, args, surroundings, config); };
  ASSIGN_OR_RETURN(const Setting endpoint, find("endpoint"));
  if (!endpoint.source.empty()) {
    ASSIGN_OR_RETURN(options.endpoint, ParseEndpoint(endpoint.source, endpoint.value));
  }
  // No token is an argument: every process of the machine can read those.
  if (args.Has("token-file")) {
    ASSIGN_OR_RETURN(options.token, ReadToken("--token-file", args.Get("token-file")));
  } else {
    ASSIGN_OR_RETURN(const Setting token, find("token"));
    if (!token.source.empty()) {
      ASSIGN_OR_RETURN(options.token, ParseToken(token.source, token.value));
    }
  }
  auto read = [&](const char* name) -> absl::StatusOr<PemText> {
    ASSIGN_OR_RETURN(const Setting setting, find(name));
    ASSIGN_OR_RETURN(const std::string path, PathOf(setting, surroundings));
    return ReadPem(setting.source, path);
  };
  ASSIGN_OR_RETURN(const PemText authority, read("ca"));
  ASSIGN_OR_RETURN(const PemText certificate, read("cert"));
  ASSIGN_OR_RETURN(const PemText key, read("key"));
  RETURN_IF_ERROR(CheckClientTls(authority, certificate, key));
  options.tls = {.authority = authority.text, .certificate = certificate.text, .key = key.text};
  options.insecure = args.Has("insecure");
  return options;
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

std::vector<FlagSpec> ConnectionFlags() {
  return {{.name = "endpoint", .value = "HOST:PORT", .help = "the server; without a port 7433"},
          {.name = "token-file", .value = "FILE", .help = "holds the token to show"},
          {.name = "ca", .value = "FILE", .help = "TLS: who signs the server's certificate (PEM)"},
          {.name = "cert", .value = "FILE", .help = "TLS: this client's own certificate (PEM)"},
          {.name = "key", .value = "FILE", .help = "TLS: its key (PEM)"},
          {.name = "insecure", .value = "", .help = "show the token without TLS, too"}};
}

absl::StatusOr<Client*> Cli::client(const Args& args) {
  if (client_ != nullptr) return client_.get();
  absl::StatusOr<ClientOptions> options = ParseSettings(args, surroundings);
  if (!options.ok()) return UsageError(options.status().message());
  ASSIGN_OR_RETURN(client_, Client::Make(*std::move(options)));
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
