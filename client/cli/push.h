// Artifacts on their way to a server.
#ifndef RADIOGRAPH_CLIENT_CLI_PUSH_H_
#define RADIOGRAPH_CLIENT_CLI_PUSH_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/cli.h"
#include "client/cpp/client.h"

namespace radiograph::cli {

struct PushOptions {
  v1::ArtifactKind kind = v1::MODEL;
  std::string name = {};  // empty: from the path
  std::map<std::string, std::string> labels = {}, roles = {};
};

// Uploads what the server lacks of the files behind `path`, registers them and says so, with the
// notes about them. Of what FindSeries finds, the models of a series become versions of one
// artifact, in their order and with their step as label `step`.
absl::StatusOr<std::vector<v1::Artifact>> PushAll(Cli& cli, Client& client, const std::string& path,
                                                  bool list, const PushOptions& options);

// REFs that the server understands: "NAME@VERSION" of what a path stands for, which is pushed; all
// else as it is.
absl::StatusOr<std::vector<std::string>> PushIfPath(Cli& cli, Client& client,
                                                    const std::string& ref, bool list,
                                                    const PushOptions& options);

// Says those notes that are not among `said`, and adds them to it: many models of a series have the
// same.
void SayNotes(Cli& cli, const std::vector<std::string>& notes, std::set<std::string>& said);

// "NAME@VERSION", "job:ID/OUTPUT"
std::string RefOf(const v1::Artifact& artifact);

// `name`, which the server does not know, may be a path without "./": then says so.
absl::Status ExplainNotFound(const absl::Status& status, const std::string& name);

}  // namespace radiograph::cli

#endif  // RADIOGRAPH_CLIENT_CLI_PUSH_H_
