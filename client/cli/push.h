// Artifacts on their way to a server.
#ifndef RADIOGRAPH_CLIENT_CLI_PUSH_H_
#define RADIOGRAPH_CLIENT_CLI_PUSH_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/cli.h"
#include "client/cpp/client.h"

namespace radiograph::cli {

struct PushOptions {
  v1::ArtifactKind kind = v1::MODEL;
  std::string name;  // empty: from the path
  std::map<std::string, std::string> labels, roles;
};

// Uploads what the server lacks of the files behind `path`, registers them and says so.
absl::StatusOr<v1::Artifact> Push(Cli& cli, Client& client, const std::string& path,
                                  const PushOptions& options);

// Push of what FindSeries finds: the models of a series become versions of one artifact, in their
// order and with their step as label `step`.
absl::StatusOr<std::vector<v1::Artifact>> PushAll(Cli& cli, Client& client, const std::string& path,
                                                  bool list, const PushOptions& options);

// REFs that the server understands: "NAME@VERSION" of what a path stands for, which is pushed; all
// else as it is.
absl::StatusOr<std::vector<std::string>> PushIfPath(Cli& cli, Client& client,
                                                    const std::string& ref, v1::ArtifactKind kind,
                                                    bool list);

// "NAME@VERSION", "job:ID/OUTPUT"
std::string RefOf(const v1::Artifact& artifact);

// `name`, which the server does not know, may be a path without "./": then says so.
absl::Status ExplainNotFound(const absl::Status& status, const std::string& name);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_PUSH_H_
