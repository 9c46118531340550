// Which server to speak to, and through which client.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/cli.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph::cli {
namespace {

constexpr int64_t kConfigBytesMax = 64 << 10;
constexpr int64_t kPemBytesMax = 1 << 20;

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

constexpr const char* kConfigured[] = {"endpoint", "token", "ca", "cert", "key"};

// The config file's settings; none when there is no such file.
absl::StatusOr<std::map<std::string, std::string>> ReadConfig(const Surroundings& surroundings) {
  std::map<std::string, std::string> settings;
  const std::string path = ConfigPath(surroundings);
  absl::StatusOr<std::string> text = ReadFile(path, kConfigBytesMax);
  bool named = !Variable(surroundings, "RADIOGRAPH_CONFIG").empty();
  if (text.status().code() == absl::StatusCode::kNotFound && !named) return settings;
  if (!text.ok()) return UsageError(text.status().message());
  absl::StatusOr<Json> config = ParseJson(*text);
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

// A setting of the connection: argument, environment, config file.
std::string Setting(const std::string& name, const Args& args, const Surroundings& surroundings,
                    const std::map<std::string, std::string>& config) {
  if (std::string value = args.Get(name); !value.empty()) return value;
  const std::string variable = absl::StrCat("RADIOGRAPH_", absl::AsciiStrToUpper(name));
  if (std::string value = Variable(surroundings, variable.c_str()); !value.empty()) return value;
  auto found = config.find(name);
  return found == config.end() ? "" : found->second;
}

absl::StatusOr<std::string> ReadIfNamed(const std::string& path) {
  if (path.empty()) return std::string();
  absl::StatusOr<std::string> text = ReadFile(path, kPemBytesMax);
  if (!text.ok()) return UsageError(text.status().message());
  return text;
}

absl::StatusOr<ClientOptions> OptionsOf(const Args& args, const Surroundings& surroundings) {
  ClientOptions options{.retry = surroundings.retry};
  ASSIGN_OR_RETURN(const auto config, ReadConfig(surroundings));
  auto setting = [&](const char* name) { return Setting(name, args, surroundings, config); };
  if (std::string endpoint = setting("endpoint"); !endpoint.empty()) options.endpoint = endpoint;
  // No token is an argument: every process of the machine can read those.
  if (args.Has("token-file")) {
    ASSIGN_OR_RETURN(options.token, ReadIfNamed(args.Get("token-file")));
  } else {
    options.token = setting("token");
  }
  absl::StripAsciiWhitespace(&options.token);
  ASSIGN_OR_RETURN(options.tls.authority, ReadIfNamed(setting("ca")));
  ASSIGN_OR_RETURN(options.tls.certificate, ReadIfNamed(setting("cert")));
  ASSIGN_OR_RETURN(options.tls.key, ReadIfNamed(setting("key")));
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
  return {{.name = "endpoint", .value = "HOST:PORT", .help = "the server"},
          {.name = "token-file", .value = "FILE", .help = "holds the token to show"},
          {.name = "ca", .value = "FILE", .help = "TLS: who signs the server's certificate (PEM)"},
          {.name = "cert", .value = "FILE", .help = "TLS: this client's own certificate (PEM)"},
          {.name = "key", .value = "FILE", .help = "TLS: its key (PEM)"},
          {.name = "insecure", .value = "", .help = "show the token without TLS, too"}};
}

absl::StatusOr<Client*> Cli::client(const Args& args) {
  if (client_ != nullptr) return client_.get();
  ASSIGN_OR_RETURN(ClientOptions options, OptionsOf(args, surroundings));
  ASSIGN_OR_RETURN(client_, Client::Make(std::move(options)));
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
